#!/usr/bin/env bash
# The layering: which folder may include what, how long a file may be, and words that never belong in the tree.
# First the checker proves on a small wrong tree that each rule bites, then it reads the real one.
set -euo pipefail
source_dir=${BITPILOT_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}
longest_file=400

# allowed PATH: prints two regular expressions, of the quoted includes ("folder/x.h") and of the <library> headers that PATH may use.
# Standard and system headers are always fine.
allowed() {
  local floor='runtime/core/' pixels='opencv2/(core|imgproc)' json='nlohmann/'
  local engine="runtime/(core|format|kernels|engine)/|runtime/[a-z_]+\.h|data/[a-z_]+\.h"
  local quant="quant/|data/|runtime/(core|format)/" torch='(torch|ATen|c10)/'
  local env="env/|$quant|runtime/engine/|runtime/[a-z_]+\.h"
  case $1 in
    runtime/core/*)            echo "$floor" "$json" ;;
    data/codecs/*)             echo "data/|$floor" "$json|$pixels|opencv2/imgcodecs|zlib\.h" ;;
    data/*)                    echo "data/[a-z_0-9]+\.(h|inc)|$floor" "$json|$pixels|zlib\.h" ;;
    runtime/format/*)          echo "$floor|runtime/format/" "$json" ;;
    runtime/kernels/*)         echo "$floor|runtime/kernels/" "$json" ;;
    runtime/engine/*)          echo "$engine" "$json|$pixels" ;;
    runtime/sources/* | runtime/sinks/*) echo "$engine|runtime/(sources|sinks)/" "$json|$pixels" ;;
    runtime/commands/* | runtime/main/*) echo "$engine|runtime/(sources|sinks|commands|media)/" "$json|$pixels|boost/" ;;
    runtime/media/*)           echo "runtime/|data/" "$json|$pixels|opencv2/(imgcodecs|videoio)" ;;
    runtime/*)                 echo "$engine" "$json|$pixels" ;;
    quant/*)                   echo "$quant" "$json|$torch|$pixels" ;;
    env/*)                     echo "$env" "$json|$torch|$pixels" ;;
    policy/*)                  echo "policy/|$env" "$json|$torch|$pixels|lpsolve/" ;;
    experiments/person/*)      echo "experiments/person/|$floor" "opencv2/(core|imgproc|imgcodecs|videoio|objdetect)" ;;
    experiments/*)             echo "(experiments|policy|env|quant|runtime|data)/" "$json|$torch|$pixels|onnx/" ;;
    tests/*)                   echo "(tests|experiments|policy|env|quant|runtime|data)/" "$json|$torch|opencv2/|doctest/|zlib\.h|onnx/" ;;
    *)                         echo "none" "none" ;;
  esac
}

# check_includes FILE…: one line for each include that the table does not allow, or that names no file.
check_includes() {
  local file quoted_ok library_ok line name
  for file in "$@"; do
    read -r quoted_ok library_ok <<<"$(allowed "$file")"
    while IFS= read -r line; do
      name=${line#*[<\"]}
      name=${name%%[>\"]*}
      case $line in
        *'"'*)
          [[ $name =~ ^($quoted_ok) ]] || echo "$file: may not include \"$name\""
          [ -e "$name" ] || echo "$file: includes \"$name\", which does not exist" ;;
        *)
          # Standard (no dot, no slash) and system headers (C, POSIX, intrinsics) are fine everywhere.
          [[ $name =~ ^[a-z_0-9]+$ || $name =~ ^((sys|linux|netinet|arpa)/)?[a-z0-9_]+\.h$ && $name != zlib.h ]] ||
            [[ $name =~ ^($library_ok) ]] || echo "$file: may not include <$name>" ;;
      esac
    done < <(grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' "$file" || true)
  done
}

# Torch's header in one of our headers makes every file that includes it slow to compile.
check_headers() {
  local file
  for file in "$@"; do
    case $file in runtime/*.inl.h) continue ;; *.h) ;; *) continue ;; esac
    grep -q '^#pragma once' "$file" || echo "$file: has no #pragma once"
  done
}

check_length() {
  local file lines
  for file in "$@"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le "$longest_file" ] || echo "$file: $lines lines, at most $longest_file are allowed: split it by concept"
  done
}

# Paths of one machine and debris of editing.  Written in pieces, so that this file does not trip over itself.
check_words() {
  local words="/wor""k/|/ro""ot/|/ho""me/[a-z]|TO""DO|FIX""ME|\bX""XX\b|<<<""<<<<|>>>"">>>>"
  grep -InE "$words" "$@" | sed 's/$/   <- does not belong in the tree/' || true
}

check_tree() {
  local all=() code=() file
  while IFS= read -r file; do
    [ -f "$file" ] || continue
    case $file in
      *.h | *.cc) code+=("$file"); all+=("$file") ;;
      *.safetensors | *.png | *.jpg | *.gz | *.onnx | LICENSE | experiments/results/* | tests/golden/*) ;;
      *) all+=("$file") ;;
    esac
  done
  check_includes "${code[@]}"
  check_headers "${code[@]}"
  check_length "${all[@]}"
  check_words "${all[@]}"
}

must_find() { grep -qF -- "$2" <<<"$1" || { echo "layering: the checker missed: $2"; exit 1; }; }

prove_that_rules_bite() {
  local tree findings
  tree=$(mktemp -d)
  # shellcheck disable=SC2064  # the folder's name is wanted now
  trap "rm -rf '$tree'" RETURN
  cd "$tree"
  mkdir -p runtime/core runtime/engine runtime/commands data quant policy
  printf '#include <torch/torch.h>\n#include <vector>\n#include "data/a.h"\n' >runtime/core/a.h
  printf '#pragma once\n#include <opencv2/imgcodecs.hpp>\n#include <sys/mman.h>\n#include "runtime/core/a.h"\n' >data/a.h
  printf '#include <boost/program_options.hpp>\n#include "quant/none.h"\n' >runtime/engine/a.cc
  printf '#include <opencv2/imgproc.hpp>\n#include <boost/program_options.hpp>\n#include <cstdio>\n#include "data/a.h"\n' >runtime/commands/a.cc
  printf '  #  include "policy/p.h"\n#include <torch/torch.h>\n' >quant/a.cc
  printf '#include "quant/none.h"\n' >policy/p.cc
  printf '// see /wor''k/x\n' >policy/w.cc
  yes '//' | head -n 401 >policy/long.cc || true
  findings=$(find . -type f | sed 's|^\./||' | sort | check_tree)
  must_find "$findings" 'runtime/core/a.h: may not include <torch/torch.h>'
  must_find "$findings" 'runtime/core/a.h: may not include "data/a.h"'
  must_find "$findings" 'runtime/core/a.h: has no #pragma once'
  must_find "$findings" 'data/a.h: may not include <opencv2/imgcodecs.hpp>'
  must_find "$findings" 'runtime/engine/a.cc: may not include <boost/program_options.hpp>'
  must_find "$findings" 'runtime/engine/a.cc: may not include "quant/none.h"'
  must_find "$findings" 'quant/a.cc: may not include "policy/p.h"'
  must_find "$findings" 'policy/p.cc: includes "quant/none.h", which does not exist'
  must_find "$findings" 'policy/long.cc: 401 lines'
  must_find "$findings" 'policy/w.cc:1'
  # … and nothing else: what is allowed passes.
  if grep -E 'commands/a.cc|<vector>|<sys/mman.h>|quant/a.cc: may not include <torch' <<<"$findings"; then
    echo "layering: the checker refuses what the table allows"
    exit 1
  fi
}

prove_that_rules_bite
cd "$source_dir"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  findings=$(git ls-files -co --exclude-standard | check_tree)
else
  findings=$(find . -type f -not -path './build/*' -not -path './runs/*' | sed 's|^\./||' | check_tree)
fi
if [ -n "$findings" ]; then
  echo "$findings"
  exit 1
fi
echo "layering: includes, file lengths and words are in order"
