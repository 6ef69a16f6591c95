#!/usr/bin/env bash
# bitpilot eval on a small labelled folder.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
model
eval_() { "$bitpilot" eval --quiet --model "$folder/model.safetensors" "$@"; }
for class in 0 1 2 3 4 5 6 7 8 9; do
  for i in 1 2 3 4 5 6; do picture "$folder/data/$class/$i.pgm" "$((class * 20 + i))"; done
done

expect 0 "a folder" eval_ --data "$folder/data" --json "$folder/e.json"
says out "pictures: accuracy" "the result for people"
for key in '"schema": "bitpilot.eval/1"' '"accuracy"' '"accuracy_ci95"' '"ece"' '"p95"' '"weight_mean"' '"configs"' '"uncalibrated": 0' '"by_family"' '"p99"' '"policy": "policy"'; do
  says "$folder/e.json" "$key" "the record"
done
evals() { "$BITPILOT_BIN/check_records" eval "$@" || fail "an evaluation record is wrong"; }
images=$(sed -n 's/^ *"images": \([0-9]*\),/\1/p' "$folder/e.json" | head -1)
expect 0 "limit" eval_ --data "$folder/data" --limit 2 --json -
says out '"images": 2' "--limit"

# The same seed gives the same result whatever the threads; the mixtures differ.
pick() { grep -v 'ms\|"typical"\|"p50"\|"p95"\|"p99"\|"mean"\|threads' "$1"; }
for threads in 1 4; do expect 0 "threads" eval_ --data "$folder/data" --mixture seen --seed 5 --threads $threads --json "$folder/t$threads.json"; done
[ "$(pick "$folder/t1.json")" = "$(pick "$folder/t4.json")" ] || fail "results differ between 1 and 4 threads"
expect 0 "held-out" eval_ --data "$folder/data" --mixture held-out --json "$folder/h.json"
grep -q '"gaussian_noise"\|"jpeg"' "$folder/h.json" && fail "seen families in the held-out mixture"
expect 0 "clean" eval_ --data "$folder/data" --mixture clean --json "$folder/c.json"
equal "$(grep -c '"images": '"$images" "$folder/c.json")" 2 "the clean mixture is one group of all pictures"

expect 0 "budget" eval_ --data "$folder/data" --budget 0.5 --json "$folder/budget.json"
evals "$folder/e.json" "$folder/t1.json" "$folder/h.json" "$folder/c.json" "$folder/budget.json" "$BITPILOT_SOURCE"/experiments/results/*-clean.json
for bits in 2 4 8 4/8 half8; do
  expect 0 "bits $bits" eval_ --data "$folder/data" --bits $bits --json "$folder/b.json"
  evals "$folder/b.json"
  grep -q '"share": 1.0' "$folder/b.json" || fail "--bits $bits is not one configuration"
done
expect 0 "not calibrated" eval_ --data "$folder/data" --bits 4/8 --json "$folder/b.json"
says "$folder/b.json" "\"uncalibrated\": $images" "a configuration that is no anchor"

expect 3 "a name that would steer the terminal" eval_ --data "$folder/data"$'\e[31m\a'
grep -q $'[\e\a]' "$folder/err" && fail "a file's name reached the terminal unfiltered"
says err "data?[31m?" "the name, filtered"
expect 5 "fail-under" eval_ --data "$folder/data" --fail-under 1
well_formed_error "fail-under"
expect 0 "fail-under met" eval_ --data "$folder/data" --fail-under 0
expect 3 "missing data" eval_ --data "$folder/missing"
well_formed_error "missing data"
mkdir "$folder/flat"
picture "$folder/flat/1.pgm"
expect 3 "unlabelled data" eval_ --data "$folder/flat"
well_formed_error "unlabelled data"
mkdir -p "$folder/strange/unicorn"
picture "$folder/strange/unicorn/1.pgm"
picture "$folder/strange/dragon/1.pgm"
expect 3 "classes of another model" eval_ --data "$folder/strange"
says err "none of the model's" "classes of another model"
for place in /nowhere/e.json "$folder/data" "$folder/e.json/x"; do
  expect 4 "an unwritable record" eval_ --data "$folder/missing" --json "$place"  # told before the data are looked for
  well_formed_error "an unwritable record"
done
finish
