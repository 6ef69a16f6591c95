#!/usr/bin/env bash
# bitpilot degrade: sets, sheets, exit codes, and nothing half written.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
degrade() { "$bitpilot" degrade --quiet "$@"; }

expect 0 "help" degrade --help
says out "gaussian_noise" "the families"

# An idx set in, an idx pair out; the same bytes for the same seed, whatever the threads.
for threads in 1 3; do
  expect 0 "idx" degrade --data fashion-mnist --count 20 --families jpeg,fog,clean --severities 1,4-5 --copies 2 --seed 4 --threads $threads --out "$folder/a$threads"
done
equal "$(ls "$folder/a1" | tr '\n' ' ')" "images-idx3-ubyte labels-idx1-ubyte labels.txt manifest.jsonl " "files"
equal "$(wc -l < "$folder/a1/manifest.jsonl")" 280 "20 pictures x (2 families x 3 severities + clean) x 2 copies"
diff -r "$folder/a1" "$folder/a3" >&2 || fail "threads change the bytes"
expect 0 "another seed" degrade --data fashion-mnist --count 20 --families jpeg,fog,clean --severities 1,4-5 --copies 2 --seed 5 --out "$folder/b"
cmp -s "$folder/a1/images-idx3-ubyte" "$folder/b/images-idx3-ubyte" && fail "the seed changes nothing"

# PNG files in class folders, drawn from the mixture; such a folder in again.
expect 0 "png" degrade --data fashion-mnist --split validation --count 30 --mixture --png --out "$folder/mixed"
equal "$(find "$folder/mixed" -name '*.png' | wc -l)" 30 "pictures"
[ -d "$folder/mixed/ankle_boot" ] || fail "no class folders"
expect 2 "degraded already" degrade --data "$folder/mixed" --out "$folder/c"
says err "degraded already" "degraded already"
rm "$folder/mixed/manifest.jsonl"
expect 0 "a folder of pictures" degrade --data "$folder/mixed" --families snow --severities 3 --out "$folder/snowed"
equal "$(find "$folder/snowed" -name '*_snow_3_0.png' | wc -l)" 30 "degraded pictures"

expect 0 "preview" degrade --data fashion-mnist --preview "$folder/sheet.png"
equal "$(head -c 4 "$folder/sheet.png" | tail -c 3)" "PNG" "the sheet"

# Wrong usage, bad data, places that cannot be written.
expect 2 "nothing to write" degrade --data fashion-mnist
expect 2 "unknown family" degrade --data fashion-mnist --families gausian_noise --out "$folder/x"
well_formed_error "unknown family"
says err "did you mean 'gaussian_noise'" "unknown family"
expect 2 "unknown flag" degrade --data fashion-mnist --familes jpeg --out "$folder/x"
says err "families" "unknown flag"
expect 2 "severity" degrade --data fashion-mnist --severities 0-5 --out "$folder/x"
expect 2 "split" degrade --data fashion-mnist --split tset --out "$folder/x"
says err "did you mean 'test'" "split"
expect 2 "held-out alone" degrade --data fashion-mnist --held-out --out "$folder/x"
expect 2 "colour family" degrade --data fashion-mnist --families saturate --out "$folder/x"
expect 3 "missing data" degrade --data "$folder/missing" --out "$folder/x"
well_formed_error "missing data"
expect 4 "unwritable" degrade --data fashion-mnist --count 1 --out /proc/nowhere/x
well_formed_error "unwritable"
mkdir "$folder/mine" && echo precious > "$folder/mine/file"
expect 2 "foreign folder" degrade --data fashion-mnist --count 1 --out "$folder/mine"
equal "$(cat "$folder/mine/file")" precious "the foreign folder"
[ -e "$folder/x" ] || [ -e "$folder/x.partial" ] && fail "a failed command left something behind"

# Interrupted: 130, the earlier set whole, nothing half written.
"$bitpilot" degrade --quiet --data fashion-mnist --families all --out "$folder/a1" & pid=$!
wait_until 30 test -e "$folder/a1.partial"
kill -INT $pid
wait $pid
equal "$?" 130 "exit code of an interrupted command"
diff -r "$folder/a1" "$folder/a3" >&2 || fail "an interrupted command changed the earlier set"
[ -e "$folder/a1.partial" ] && fail "an interrupted command left its folder"
finish
