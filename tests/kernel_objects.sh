#!/usr/bin/env bash
# What the compiler made of the kernels.  A weak symbol in a file that is compiled for one instruction set could be linked into code that
# runs on any processor.  A dot-product loop that keeps its sums on the stack is several times slower, and equal tests do not notice.
set -euo pipefail
build_dir=$(cd "${BITPILOT_BIN:?the folder of the built programs}/.." && pwd)
library=$build_dir/libbitpilot_kernels.a
# Register moves to or from the stack in one tile: what surrounds the loop may need a few, a loop that spills has dozens.
most_stack_moves=12

if [ "$(uname -m)" != x86_64 ]; then
  echo "no vector kernels on this machine"
  exit 0
fi
[ -f "$library" ] || { echo "no $library"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && ar x "$library" && mkdir data && cd data && ar x "$build_dir/libbitpilot_data.a" picture_sums_avx2.cc.o)

failed=0
for object in "$work"/avx*.o "$work"/data/*.o; do
  if weak=$(nm -C --defined-only "$object" | grep -E ' [WVu] ' | grep -v ' DW\.ref\.'); then  # those are pointers, no code
    echo "weak symbols in $(basename "$object"):"
    echo "$weak"
    failed=1
  fi
done

# Sanitizers and builds without optimisation keep everything on the stack.
if nm "$work"/avx2.cc.o | grep -qE '__(asan|tsan|ubsan)_' || ! grep -q '^CMAKE_BUILD_TYPE:STRING=Release' "$build_dir/CMakeCache.txt"; then
  echo "stack moves are only counted in release builds"
  exit $failed
fi
count_stack_moves() {
  objdump -dC --no-show-raw-insn "$1" | awk '
    /^[0-9a-f]+ </ { name = $0; if (name ~ /conv_tile|filters_(tile|rows)/) ++tiles }
    name ~ /conv_tile|filters_(tile|rows)/ && /vmov.*[yz]mm/ && /\(%r[sb]p/ { ++moves[name] }
    END { print "tiles", tiles + 0; for (name in moves) print moves[name], name }'
}
# Product tables: what stands between the first and the last sum of bytes is the loop.
count_table_moves() {
  objdump -dC --no-show-raw-insn "$1" | awk '
    /^[0-9a-f]+ </ { name = $0; held = 0; if (name ~ /TableTile|table_pixels_tile/) ++tiles }
    name ~ /TableTile|table_pixels_tile/ && /vmov.*[yz]mm/ && /\(%r[sb]p/ { ++held }
    name ~ /TableTile|table_pixels_tile/ && /vpaddb/ { if (name in moves) moves[name] += held; else moves[name] = 0; held = 0 }
    END { print "tiles", tiles + 0; for (name in moves) print moves[name], name }'
}
for object in "$work"/avx*.o; do
  counts=$(count_stack_moves "$object")
  if echo "$counts" | grep -qx 'tiles 0'; then
    echo "no tiles found in $(basename "$object"): has the kernel's name changed?"
    failed=1
  fi
  while read -r moves name; do
    [ "$moves" = tiles ] && continue
    if [ "$moves" -gt "$most_stack_moves" ]; then
      echo "$moves vector moves to or from the stack in $name"
      failed=1
    fi
  done <<< "$counts"
done
for object in "$work"/avx2.cc.o "$work"/avxvnni.cc.o "$work"/avx512vbmi.cc.o; do
  tables=$(count_table_moves "$object")
  if echo "$tables" | grep -qx 'tiles 0'; then
    echo "no product tables found in $(basename "$object"): has the kernel's name changed?"
    failed=1
  elif moved=$(echo "$tables" | grep -vE '^(tiles|0) '); then
    echo "vector moves to or from the stack between sums of bytes: $moved"
    failed=1
  fi
done
[ $failed = 0 ] && echo "kernel objects: no weak symbols, sums stay in registers"
exit $failed
