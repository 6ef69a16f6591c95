#!/usr/bin/env bash
# bitpilot run on live streams: a camera over http that moves, is slower than its pictures, goes and comes, freezes; its
# password is written nowhere.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 0; }
model
python3 "$BITPILOT_SOURCE/tests/support/mjpeg_camera.py" "$folder/port" &
camera=$!
trap 'kill $camera 2>/dev/null; rm -rf "$folder"' EXIT
wait_until 20 test -e "$folder/port" || { fail "no camera"; finish; }
host="127.0.0.1:$(cat "$folder/port")"
address() { echo "http://admin:hunter2canary@$host/$1?token=hunter2canary"; }
live() { "$bitpilot" run --model "$folder/model.safetensors" "$@"; }
sum_of() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$1" | awk '{sum += $1} END {print sum + 0}'; }

expect 0 "a camera" live --source "$(address moving)" --max-frames 25 --decisions "$folder/moving.jsonl"
records "$folder/moving.jsonl" "25 decisions, 0 fallbacks, 0 regions, 1 summaries"
says "$folder/moving.jsonl" "\"source\":\"http://$host/moving\"" "the address in the records"

# Far more work than a frame leaves time for: only the newest frame waits, and the others are counted.
expect 0 "a slow network" live --source "$(address moving)" --max-frames 3 --tile 1,1 --decisions "$folder/slow.jsonl"
records "$folder/slow.jsonl" "12288 decisions, 0 fallbacks, 12288 regions, 1 summaries"
dropped=$(tail -1 "$folder/slow.jsonl" | sed 's/.*"queue":\([0-9]*\).*/\1/')
told=$(sum_of "$folder/slow.jsonl" dropped_before)
[ "$dropped" -gt 0 ] || fail "no frame was dropped though 4096 tiles take longer than a frame"
[ "$told" -gt 0 ] && [ "$told" -le "$dropped" ] || fail "records tell of $told dropped frames, the summary of $dropped"

# It goes, it comes back, and the records go on without a gap.
expect 0 "a camera that goes" live --source "$(address short)" --max-frames 45 --decisions "$folder/short.jsonl"
records "$folder/short.jsonl" "45 decisions, 0 fallbacks, 0 regions, 1 summaries"
says err "http://$host/short: lost: the stream ended; trying again" "a loss is told"
says err "http://$host/short: is back" "a return is told"
cat "$folder/err" "$folder/out" >"$folder/said"

# It freezes: told once, its frames counted and not judged.
(exec "$bitpilot" run --model "$folder/model.safetensors" --source "$(address frozen)" --decisions "$folder/frozen.jsonl") >"$folder/second" 2>&1 &
pid=$!
wait_until 60 grep -q 'frozen: the same picture for 5000 ms' "$folder/second" || fail "a frozen camera is not told"
before=$(wc -l <"$folder/frozen.jsonl")
sleep 0.5
cat "/proc/$pid/cmdline" >>"$folder/said"
for child in $(cat /proc/$pid/task/*/children 2>/dev/null); do cat "/proc/$child/cmdline" "/proc/$child/environ" >>"$folder/said"; done
kill -TERM $pid
wait $pid
equal $? 143 "exit code of a stopped camera"
equal "$(wc -l <"$folder/frozen.jsonl")" "$((before + 1))" "no record of a frozen camera but the summary"
records "$folder/frozen.jsonl" "$before decisions, 0 fallbacks, 0 regions, 1 summaries"
[ "$(sum_of "$folder/frozen.jsonl" frozen)" -gt 0 ] || fail "frozen frames are not counted"
equal "$(grep -c 'frozen:' "$folder/second")" 1 "messages of a frozen camera"

expect 4 "a locked camera" live --source "$(address locked)" --reconnect-attempts 1 --decisions "$folder/locked.jsonl"
well_formed_error "a locked camera"
records "$folder/locked.jsonl" "0 decisions, 0 fallbacks, 0 regions, 1 summaries"

cat "$folder/err" "$folder/out" "$folder/second" "$folder"/*.jsonl >>"$folder/said"
grep -aq hunter2canary "$folder/said" && fail "a password was written: $(grep -ao '.\{30\}hunter2canary' "$folder/said" | head -1)"
finish
