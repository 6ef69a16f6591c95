#!/usr/bin/env bash
# bitpilot run over files: records, order, skipped pictures, replay.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
model
run() { "$bitpilot" run --quiet --model "$folder/model.safetensors" "$@"; }
lines() { grep -c "\"schema\":\"bitpilot.$2/1\"" "$1"; }
sources() { sed -n 's/.*"source":"\([^"]*\)".*/\1/p' "$1"; }

for i in 1 2 3 4 5 6; do picture "$folder/p/$i.pgm" "$((i * 37))"; done
picture "$folder/p/a/7.pgm" 99
echo "no picture" >"$folder/p/3b.png"
: >"$folder/p/5b.jpg"
echo "notes" >"$folder/p/readme.txt"
decisions=$folder/d.jsonl
expect 0 "a folder" run --source "$folder/p" --decisions "$decisions"
records "$decisions" "7 decisions, 0 fallbacks, 0 regions, 1 summaries"
equal "$(sources "$decisions" | tr '\n' ' ')" "$(for i in 1 2 3 4 5 6 a/7; do printf '%s ' "$folder/p/$i.pgm"; done)" "order"
tail -1 "$decisions" | grep -q '"received":9,"processed":7,"records":7,"queued":0' || fail "counts: $(tail -1 "$decisions")"
tail -1 "$decisions" | grep -q '"decode":2' || fail "unreadable pictures are not counted"
says err "skipped: $folder/p/3b.png" "skipped pictures are named"
says err "skipped: $folder/p/5b.jpg" "skipped pictures are named"

expect 0 "records on standard output" run --source "$folder/p/1.pgm"
equal "$(lines "$folder/out" decision)" 1 "records on standard output"
expect 0 "two sources and threads" run --source "$folder/p" --source "$folder/p/1.pgm" --threads 3 --decisions "$folder/two.jsonl"
equal "$(lines "$folder/two.jsonl" decision)" 8 "records of two sources"
expect 0 "max-frames" run --source "$folder/p" --max-frames 3 --decisions "$folder/few.jsonl"
equal "$(lines "$folder/few.jsonl" decision)" 3 "--max-frames"
expect 0 "append" run --source "$folder/p/1.pgm" --append --decisions "$folder/few.jsonl"
records "$folder/few.jsonl" "4 decisions, 0 fallbacks, 0 regions, 2 summaries"
expect 0 "anew" run --source "$folder/p/1.pgm" --decisions "$folder/few.jsonl"
equal "$(lines "$folder/few.jsonl" decision)" 1 "a file starts anew"
echo '{"source": ["'"$folder/p/1.pgm"'", "'"$folder/p/2.pgm"'"], "max-frames": 1}' >"$folder/config.json"
expect 0 "config" run --config "$folder/config.json" --max-frames 2
equal "$(lines "$folder/out" decision)" 2 "the command line wins over --config"

# Where the system gives no more threads, the run says so.
if ! sanitized; then
  crowded() { (ulimit -v 400000 && exec "$bitpilot" run --quiet --model "$folder/model.safetensors" "$@"); }
  expect 4 "no room for threads" crowded --source "$folder/p/1.pgm" --threads 64
  well_formed_error "no room for threads"
fi

# Decisions do not depend on the number of threads, with a budget neither.
for i in $(seq 20); do picture "$folder/many/$i.pgm" "$((i * 11))"; done
doubled "$folder/many" 4
what() { sed 's/"time":.*"model"/"model"/; s/,"timing_ms".*//' "$1" | grep decision; }
for threads in 1 4; do expect 0 "budget" run --source "$folder/many" --budget 0.5 --threads $threads --decisions "$folder/t$threads.jsonl"; done
[ "$(what "$folder/t1.jsonl")" = "$(what "$folder/t4.jsonl")" ] || fail "decisions differ between 1 and 4 threads"
equal "$(sed -n 's/.*"lambda":\([^,]*\),.*/\1/p' "$folder/t1.jsonl" | sort -u | wc -l | awk '{print ($1 > 1)}')" 1 "lambda moves with a budget"

# Statistics that the model has never seen: the safe configuration, and the record says so; nobody looks with --guard off.
"$BITPILOT_BIN/make_random_model" "$folder/narrow.safetensors" 1 narrow
expect 0 "out of range" "$bitpilot" run --quiet --model "$folder/narrow.safetensors" --source "$folder/p" --decisions "$folder/safe.jsonl"
records "$folder/safe.jsonl" "7 decisions, 7 fallbacks, 0 regions, 1 summaries"
expect 0 "guard off" "$bitpilot" run --quiet --model "$folder/narrow.safetensors" --source "$folder/p" --guard off --decisions "$folder/open.jsonl"
records "$folder/open.jsonl" "7 decisions, 0 fallbacks, 0 regions, 1 summaries"
equal "$(grep -c '"guard":false' "$folder/open.jsonl")" 7 "the record says that nobody looked"
expect 0 "replay without the guard" "$bitpilot" eval --quiet --model "$folder/narrow.safetensors" --replay "$folder/open.jsonl"
says out "7 decisions judged again, 0 different" "replay without the guard"
expect 2 "guard" run --source "$folder/p" --guard maybe
well_formed_error "guard"

expect 0 "region" run --source "$folder/p/1.pgm" --roi 4,4,100,8
says out '"region":[4,4,12,8]' "the region is cut to the picture"
expect 3 "region outside" run --source "$folder/p/1.pgm" --roi 100,0,5,5
says err "the region lies outside" "a region that no picture has"
expect 0 "tiles" run --source "$folder/p" --tile 8,12 --threads 3 --decisions "$folder/tiles.jsonl"
records "$folder/tiles.jsonl" "28 decisions, 0 fallbacks, 28 regions, 1 summaries"
equal "$(grep -o '"region":[^]]*]' "$folder/tiles.jsonl" | head -4 | tr '\n' ' ')" \
  '"region":[0,0,8,12] "region":[8,0,8,12] "region":[0,4,8,12] "region":[8,4,8,12] ' "the tiles of a picture of 16 x 16"
tail -1 "$folder/tiles.jsonl" | grep -q '"processed":7,"records":28' || fail "tiles: $(tail -1 "$folder/tiles.jsonl")"
expect 0 "tiles of a region" run --source "$folder/p/1.pgm" --roi 2,2,9,99 --tile 9,7
equal "$(grep -o '"region":[^]]*]' "$folder/out" | tr '\n' ' ')" '"region":[2,2,9,7] "region":[2,9,9,7] ' "the tiles of a region"
expect 0 "replay of tiles" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$folder/tiles.jsonl"
says out "28 decisions judged again, 0 different" "replay of tiles"
{ printf 'P5 100 100 255\n'; head -c 10000 /dev/zero; } >"$folder/large.pgm"
expect 2 "too many tiles" run --source "$folder/large.pgm" --tile 1,1
well_formed_error "too many tiles"

expect 0 "fixed bits" run --source "$folder/p/1.pgm" --bits 4/8 --decisions "$folder/fixed.jsonl"
records "$folder/fixed.jsonl" "1 decisions, 0 fallbacks, 0 regions, 1 summaries"
says "$folder/fixed.jsonl" '"bits":[[4,8,' "--bits"
echo '{"bits": [[2,4,2],[2,4,1],[2,2,4],[2,2,2],[2,2,4],[2,4,4]]}' >"$folder/bits.json"
expect 3 "unequal widths in a group" run --source "$folder/p/1.pgm" --bits "$folder/bits.json"
sed -i 's/\[2,4,1\]/[2,4,2]/' "$folder/bits.json"
expect 0 "bits from a file" run --source "$folder/p/1.pgm" --bits "$folder/bits.json"
says out '"bits":[[2,4,2],[2,4,2],[2,2,4]' "--bits FILE"

# The same pictures give the same decisions; other ones do not.
expect 0 "replay" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$decisions"
says out "7 decisions judged again, 0 different" "replay"
expect 0 "replay with a budget" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$folder/t4.jsonl"
expect 5 "replay with other bits" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$decisions" --bits 2
well_formed_error "replay that differs"
"$BITPILOT_BIN/make_random_model" "$folder/other.safetensors" 2
expect 3 "replay with another model" "$bitpilot" eval --quiet --model "$folder/other.safetensors" --replay "$decisions"
head -c 300 "$decisions" >"$folder/torn.jsonl"
expect 3 "replay of a torn file" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$folder/torn.jsonl"

# Bad input.
mkdir "$folder/empty"
expect 3 "a folder without pictures" run --source "$folder/empty"
well_formed_error "a folder without pictures"
expect 3 "only unreadable pictures" run --source "$folder/p/3b.png"
well_formed_error "only unreadable pictures"
echo "this is no video" >"$folder/film.mp4"
expect 3 "no video" run --source "$folder/film.mp4"
cp "$folder/model.safetensors" "$folder/precious"
expect 2 "decisions over a file of something else" run --source "$folder/p" --decisions "$folder/precious"
cmp -s "$folder/model.safetensors" "$folder/precious" || fail "a file of something else was overwritten"

video=/usr/share/doc/opencv-doc/examples/data/Megamind.avi
if [ -e "$video" ]; then
  expect 0 "a video" run --source "$video" --max-frames 60 --decisions "$folder/v.jsonl"
  records "$folder/v.jsonl" "60 decisions, 0 fallbacks, 0 regions, 1 summaries"
  expect 0 "tiles of a video" run --source "$video" --max-frames 7 --roi 10,10,600,400 --tile 250,250 --decisions "$folder/vt.jsonl"
  records "$folder/vt.jsonl" "42 decisions, 0 fallbacks, 42 regions, 1 summaries"
  expect 0 "replay of a video's tiles" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$folder/vt.jsonl"
  says out "42 decisions judged again, 0 different" "replay of a video's tiles"
  expect 0 "replay of a video" "$bitpilot" eval --quiet --model "$folder/model.safetensors" --replay "$folder/v.jsonl"
fi
finish
