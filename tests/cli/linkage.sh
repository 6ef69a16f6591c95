#!/usr/bin/env bash
# What bitpilot links, and how much memory it takes.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
model
for library in imgcodecs videoio highgui torch protobuf python; do
  ldd "$bitpilot" | grep -qi "$library" && fail "bitpilot links $library"
done
ldd "$bitpilot" | grep -q 'libstdc++' || fail "ldd does not work here"
# Sanitizers need memory of their own.
if ! sanitized; then
  picture "$folder/pictures/1.pgm"
  doubled "$folder/pictures" 10
  "$bitpilot" run --quiet --model "$folder/model.safetensors" --source "$folder/pictures" --decisions "$folder/d.jsonl" &
  run=$!
  peak=0
  while kill -0 "$run" 2>/dev/null; do
    now=$(awk '/^VmHWM/ {print $2}' "/proc/$run/status" 2>/dev/null)
    [ "${now:-0}" -gt "$peak" ] && peak=$now
    sleep 0.02
  done
  wait "$run" || fail "run ended with $?"
  [ "$peak" -gt 0 ] && [ "$peak" -le 61440 ] || fail "peak memory is $peak KiB, more than 60 MiB"
fi
finish
