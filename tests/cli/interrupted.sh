#!/usr/bin/env bash
# Kills, signals, full disks, lost cameras, killed decoders, credentials.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
model
run() { exec "$bitpilot" run --quiet --model "$folder/model.safetensors" "$@"; }
has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }
# Every line but a torn last one is a whole record.
whole_lines() {
  local bad
  bad=$(awk '{last = $0} NR > 1 && !(prev ~ /^\{"schema":"bitpilot\.[a-z]+\/1".*\}$/) {bad++} {prev = $0} END {print bad + 0}' "$1")
  equal "$bad" 0 "$2: lines that are no records"
}
media_of() { pgrep -P "$1" -f 'bitpilot-media serve|media' | head -1; }

picture "$folder/many/0.pgm"
doubled "$folder/many" 13  # 8192

(run --source "$folder/many" --decisions "$folder/k.jsonl") 2>/dev/null &
pid=$!
wait_until 30 has_lines "$folder/k.jsonl" 200 || fail "nothing was written"
kill -9 $pid
wait $pid 2>/dev/null
has_lines "$folder/k.jsonl" 8192 && fail "the run was over before the kill"
whole_lines "$folder/k.jsonl" "kill -9"
printf '{"schema":"bitpilot.decision/1","sequ' >>"$folder/k.jsonl"
expect 0 "appending behind a torn line" "$bitpilot" run --quiet --model "$folder/model.safetensors" --source "$folder/many/0.pgm" --append --decisions "$folder/k.jsonl"
grep -q 'sequ{' "$folder/k.jsonl" && fail "a torn line was not cut off"
grep -c '"sequ$' "$folder/k.jsonl" >/dev/null && fail "a torn line stands in the file"

for signal in INT TERM; do
  code=$([ $signal = INT ] && echo 130 || echo 143)
  # A background job of a shell without job control ignores SIGINT; env gives it back.
  (exec env --default-signal=INT "$bitpilot" run --quiet --model "$folder/model.safetensors" --source "$folder/many" --decisions "$folder/$signal.jsonl") 2>/dev/null &
  pid=$!
  wait_until 30 has_lines "$folder/$signal.jsonl" 100 || fail "nothing was written"
  kill -$signal $pid
  wait $pid
  equal $? $code "exit code after SIG$signal"
  whole_lines "$folder/$signal.jsonl" "SIG$signal"
  last=$(tail -1 "$folder/$signal.jsonl")
  echo "$last" | grep -q '"schema":"bitpilot.summary/1"' || fail "no summary after SIG$signal: $last"
  judged=$(($(wc -l <"$folder/$signal.jsonl") - 1))
  records "$folder/$signal.jsonl" "$judged decisions, 0 fallbacks, 0 regions, 1 summaries"
  equal "$(echo "$last" | sed 's/.*"processed":\([0-9]*\).*/\1/')" $judged "processed after SIG$signal"
done

# An evaluation that is stopped ends at once and leaves no record.
(exec env --default-signal=INT "$bitpilot" eval --quiet --model "$folder/model.safetensors" --data fashion-mnist --mixture seen --json "$folder/e.json") >"$folder/out" 2>&1 &
pid=$!
sleep 0.4
kill -INT $pid
wait $pid
equal $? 130 "exit code of an interrupted evaluation"
equal "$(ls "$folder" | grep -c '^e.json')" 0 "records of an interrupted evaluation"

# A decoder that is killed is started again and nothing is lost.
(run --source "$folder/many" --decisions "$folder/m.jsonl") 2>"$folder/err" &
pid=$!
wait_until 30 has_lines "$folder/m.jsonl" 100
child=$(cat /proc/$pid/task/*/children 2>/dev/null | tr ' ' '\n' | head -1)
if [ -n "$child" ] && kill -9 "$child" 2>/dev/null; then
  wait $pid
  equal $? 0 "exit code after the decoder was killed"
  equal "$(grep -c decision/1 "$folder/m.jsonl")" 8192 "records after the decoder was killed"
else
  fail "no decoder to kill"
  wait $pid
fi

# A full disk.
expect 4 "full disk" "$bitpilot" run --quiet --model "$folder/model.safetensors" --source "$folder/many" --decisions /dev/full
well_formed_error "full disk"
says err "the disk is full" "full disk"
mkdir "$folder/small"
if mount -t tmpfs -o size=64k tmpfs "$folder/small" 2>/dev/null; then
  expect 4 "full tmpfs" "$bitpilot" run --quiet --model "$folder/model.safetensors" --source "$folder/many" --decisions "$folder/small/d.jsonl"
  whole_lines "$folder/small/d.jsonl" "full tmpfs"
  [ "$(tail -c 1 "$folder/small/d.jsonl")" = "" ] || fail "a torn line stays on a full disk"
  umount "$folder/small"
fi
expect 4 "unwritable output" "$bitpilot" run --quiet --model "$folder/model.safetensors" --source "$folder/many" --decisions /nowhere/d.jsonl

# A camera that is not there: given up after its retries, or stopped; its password is written nowhere.
address='rtsp://admin:hunter2canary@127.0.0.1:9/stream?token=hunter2canary'
expect 4 "a lost camera" "$bitpilot" run --model "$folder/model.safetensors" --source "$address" --reconnect-attempts 1 --decisions "$folder/c.jsonl"
well_formed_error "a lost camera"
says "$folder/c.jsonl" '"received":0' "the summary of a lost camera"
cat "$folder/err" "$folder/out" "$folder/c.jsonl" >"$folder/said"
(exec env --default-signal=INT "$bitpilot" run --model "$folder/model.safetensors" --source "$address" --decisions "$folder/c2.jsonl") >"$folder/second" 2>&1 &
pid=$!
wait_until 30 grep -q 'trying again' "$folder/second" || fail "no word of a lost camera"
cat /proc/$pid/cmdline >>"$folder/said"
for child in $(cat /proc/$pid/task/*/children 2>/dev/null); do cat "/proc/$child/cmdline" "/proc/$child/environ" >>"$folder/said"; done
kill -INT $pid
wait $pid
equal $? 130 "exit code of an interrupted camera"
cat "$folder/second" "$folder/c2.jsonl" >>"$folder/said"
grep -aq hunter2canary "$folder/said" && fail "a password was written: $(grep -ao '.\{30\}hunter2canary' "$folder/said" | head -1)"

# No decoder at all.
mkdir "$folder/alone"
expect 4 "no bitpilot-media" env BITPILOT_EXEC_PATH="$folder/alone" "$bitpilot" run --model "$folder/model.safetensors" --source "$folder/many"
well_formed_error "no bitpilot-media"
expect 4 "no bitpilot-train" env BITPILOT_EXEC_PATH="$folder/alone" "$bitpilot" train
env BITPILOT_EXEC_PATH="$folder/alone" "$bitpilot" --help | grep -q '^  train' && fail "help lists a command whose program is missing"
finish
