#!/usr/bin/env bash
# The maker of the person / no-person set cuts patches that `bitpilot train` reads, and tells what is wrong with what it is given.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
maker=$BITPILOT_BIN/make-person-patches
video=/usr/share/doc/opencv-doc/examples/data/vtest.avi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

check() {  # CODE WORD ARGS…
  "$maker" "${@:3}" >"$work/log" 2>"$work/err"
  local code=$?
  [ "$code" -eq "$1" ] && grep -q -- "$2" "$work/err" || fail "make-person-patches ${*:3}: exit $code, want $1 with \"$2\": $(cat "$work/err")"
}
"$maker" --help >"$work/log" 2>"$work/err" || fail "--help ended with $?"
[ ! -s "$work/err" ] && grep -q -- '^  --stride N' "$work/log" && head -n 1 "$work/log" | grep -q '^make-person-patches --video' || fail "--help: $(cat "$work/log" "$work/err")"
"$maker" --video "$work/none" --help >/dev/full 2>/dev/null
[ $? -eq 4 ] || fail "--help on a full disk"
check 2 'make-person-patches: .*--video' --out "$work/x"
check 2 'give 1 to 999' --video "$work/none" --out "$work/x" --stride 0
check 2 'is no option' --vdeo "$work/none"
check 3 'cannot be read' --video "$work/none" --out "$work/x"
printf 'a.png someone\n' >"$work/bad"
check 3 'is no correction' --video "$work/none" --out "$work/x" --corrections "$work/bad"
[ -e "$work/x" ] && fail "a refused call left its folder"

[ -e "$video" ] || { echo "skipped: $video is missing (scripts/install_packages brings it)"; exit $failed; }
"$maker" --video "$video" --out "$work/set" --stride 10 >"$work/log" 2>"$work/err" || { cat "$work/log" "$work/err"; fail "the set"; }
for part in train test; do
  for label in person no_person; do
    count=$(find "$work/set/$part/$label" -name '*.png' | wc -l)
    [ "$count" -ge 50 ] || fail "$count patches in $part/$label"
  done
done
told=$(grep -o 'alone [0-9.]* %' "$work/log" | grep -o '[0-9.]*')
python3 -c "import sys; told = float(sys.argv[1]); sys.exit(not 0 < told < 60)" "$told" || fail "the background tells $told %"

# Nobody is known by a place: every window without a person is one of the same part with a person, a second or more apart.  No frame of
# the training part comes within 7 % of the video of one of the test part.
frames=$(grep -o 'of [0-9]*$' "$work/err" | head -n 1 | grep -o '[0-9]*')
python3 - "$work/set" "${frames:-0}" <<'PY' || fail "places or times of the patches"
import os, re, sys
folder, frames = sys.argv[1], int(sys.argv[2])
assert frames > 700, frames
seen = {}
for part in ("train", "test"):
    windows = {}
    for label in ("person", "no_person"):
        for name in os.listdir(f"{folder}/{part}/{label}"):
            frame, *window = map(int, re.fullmatch(r"f(\d{4})_x(\d{3})_y(\d{3})_s(\d{3})\.png", name).groups())
            windows.setdefault((label, *window), []).append(frame)
            seen.setdefault(part, []).append(frame)
    empty = [(key[1:], at) for key, times in windows.items() if key[0] == "no_person" for at in times]
    for window, at in empty:
        apart = [abs(at - other) for other in windows.get(("person", *window), [])]
        assert apart, f"{part}: nobody ever stands in {window} of frame {at}"
        assert max(apart) >= 25, f"{part}: {window} of frame {at} is {apart} frames from its person"
assert max(seen["train"]) < 0.68 * frames, max(seen["train"])
assert min(seen["test"]) >= 0.75 * frames, min(seen["test"])
PY

# Corrections: one patch dropped, one moved to the other class, one that names nothing.
first=$(basename "$(find "$work/set/test/person" -name '*.png' | sort | head -n 1)")
second=$(basename "$(find "$work/set/test/person" -name '*.png' | sort | sed -n 2p)")
printf '# by eye\n%s drop\n%s no_person\nf9999_x000_y000_s001.png drop\n' "$first" "$second" >"$work/corrections"
"$maker" --video "$video" --out "$work/corrected" --stride 10 --corrections "$work/corrections" >"$work/log" 2>"$work/err" || fail "the corrected set"
[ ! -e "$work/corrected/test/person/$first" ] && [ ! -e "$work/corrected/test/no_person/$first" ] || fail "a dropped patch is there"
[ -e "$work/corrected/test/no_person/$second" ] || fail "a corrected patch kept its class"
tested=$(find "$work/set/test" -name '*.png' | wc -l)
unseen="warning: $((tested - 2)) of $tested test patches are not in $work/corrections, nobody has looked at them; 1 of its lines name no test patch, the first is f9999_x000_y000_s001.png "
[ "$(grep -c warning "$work/err")" = 1 ] && grep -qF "$unseen" "$work/err" || fail "unseen patches and a stale line: $(cat "$work/err")"

diff -r "$work/set/train" "$work/corrected/train" >"$work/log" || fail "two calls cut different patches: $(head -n 3 "$work/log")"

# A folder that a recipe reads.
"$BITPILOT_BIN/bitpilot-train" train --config "$BITPILOT_SOURCE/experiments/configs/qgt_person.json" --data "$work/set" --out "$work/run" --quiet \
  --set train_images=64 --set batch=32 --set evaluation_images=20 --set calibration_images=64 --set float.epochs=1 --set supernet.epochs=1 \
  --set method.report_images=0 >"$work/log" 2>&1 || { cat "$work/log"; fail "training on the patches"; }
python3 - "$work/run/summary.json" <<'PY' || fail "the size of the person net"
import json, sys
size = json.load(open(sys.argv[1]))["method"]["size"]
assert size["times_smaller"] >= 13 and size["file_bytes"] <= 90000, size
PY
exit $failed
