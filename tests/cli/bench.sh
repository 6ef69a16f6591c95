#!/usr/bin/env bash
# bench and profile: what they write, and what they refuse.  Times themselves are nobody's test.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
model

expect 0 "bench of a model" "$bitpilot" bench --model "$folder/model.safetensors" --seconds 0 --json "$folder/bench.json"
says out "whole pass" "bench"
says out "switching" "bench"
says out "of peak" "bench"
for key in bitpilot.bench/1 peak_gmacs_per_s p99_ms of_peak switching_ms preprocess policy statistics_and_policy_share; do
  says "$folder/bench.json" "$key" "bench --json"
done
expect 0 "bench of a backbone" "$bitpilot" bench --network ds_cnn --size 16 --channels 1 --bits 8 --bits 2/4 --seconds 0 --threads 2 --json -
says out '"name": "u8"' "bench --network"
says out '"threads": 2' "bench --threads"
python3 - "$folder/out" <<'END' || fail "two threads' share of the peak is not against that of two cores"
import json, math, sys
record = json.load(open(sys.argv[1]))
peak = record["threads_peak_gmacs_per_s"]
assert math.isclose(peak, 2 * record["peak_gmacs_per_s"]), record
for config in record["configs"]:
    for rated in [config, *config["layers"]]:
        assert math.isclose(rated["of_peak"], rated["gmacs_per_s"] / peak), rated
END

expect 0 "profile" "$bitpilot" profile --model "$folder/model.safetensors" --out "$folder/profile.json"
says out "kernel at 8 bits" "profile"
says "$folder/profile.json" bitpilot.profile/3 "profile --out"
expect 0 "bench with it" "$bitpilot" bench --model "$folder/model.safetensors" --profile "$folder/profile.json" --seconds 0
says out "of the whole pass" "bench with a profile"
expect 0 "bench without" "$bitpilot" bench --model "$folder/model.safetensors" --profile off --seconds 0
grep -q "of the whole pass" "$folder/out" && fail "bench --profile off takes the kept profile"
expect 0 "bench with the kept one" "$bitpilot" bench --model "$folder/model.safetensors" --seconds 0 --json -
says out '"kernels": "profile"' "bench after profile"
expect 0 "profile without a file" "$bitpilot" profile --model "$folder/model.safetensors"
says out "$XDG_CACHE_HOME/bitpilot/profile-" "where a profile is kept"
expect 4 "a profile that cannot be kept" env XDG_CACHE_HOME="$folder/bench.json" "$bitpilot" profile --model "$folder/model.safetensors" --quiet
well_formed_error "a profile that cannot be kept"
expect 0 "bench where nothing is kept" env XDG_CACHE_HOME="$folder/bench.json" "$bitpilot" bench --model "$folder/model.safetensors" --seconds 0
expect 2 "a backbone's profile without a file" "$bitpilot" profile --network resnet8
expect 0 "bench with a random policy" "$bitpilot" bench --network resnet8 --size 16 --bits 8 --policy random --seconds 0 --json -
says out statistics_and_policy_share "bench --policy random"
expect 2 "a random policy for a model" "$bitpilot" bench --model "$folder/model.safetensors" --policy random
expect 3 "a profile of another instruction set" env BITPILOT_ISA=scalar "$bitpilot" bench --model "$folder/model.safetensors" \
  --profile <(sed 's/"isa": "[a-z0-9]*"/"isa": "altivec"/' "$folder/profile.json") --seconds 0
well_formed_error "a profile of another instruction set"
says err "times of another instruction set: altivec" "a profile of another instruction set"
expect 3 "a profile of another network" "$bitpilot" bench --network ds_cnn --profile "$folder/profile.json" --seconds 0
says err "times of another network" "a profile of another network"
expect 3 "a profile of a build with other kernels" "$bitpilot" bench --model "$folder/model.safetensors" --seconds 0 \
  --profile <(sed 's/"kernels": "[0-9a-f]*"/"kernels": "0123"/' "$folder/profile.json")
well_formed_error "a profile of a build with other kernels"
says err "times of another build, with other kernels: 0123" "a profile of a build with other kernels"

# --profile make: measured once, kept, and found from then on by every command.
export XDG_CACHE_HOME=$folder/made
picture "$folder/photos/a.pgm"
expect 0 "run --profile off" "$bitpilot" run --model "$folder/model.safetensors" --source "$folder/photos" --profile off --quiet --decisions "$folder/off.jsonl"
[ ! -e "$XDG_CACHE_HOME" ] || fail "run --profile off keeps a profile"
expect 0 "run --profile make" "$bitpilot" run --model "$folder/model.safetensors" --source "$folder/photos" --profile make --quiet --decisions "$folder/made.jsonl"
kept=$(echo "$XDG_CACHE_HOME"/bitpilot/profile-*.json)
says "$kept" bitpilot.profile/3 "what run --profile make keeps"
expect 0 "replay of it" "$bitpilot" eval --model "$folder/model.safetensors" --replay "$folder/off.jsonl" --profile make --quiet
says out "1 decisions judged again, 0 different" "decisions with other kernels"
cp "$kept" "$folder/kept.json"
expect 0 "bench --profile make" "$bitpilot" bench --model "$folder/model.safetensors" --profile make --seconds 0 --json -
says out '"kernels": "profile"' "bench --profile make"
cmp "$kept" "$folder/kept.json" || fail "bench --profile make measures again"
sed -i 's/"kernels": "[0-9a-f]*"/"kernels": "0123"/' "$kept"
expect 0 "bench with a stale one" "$bitpilot" bench --model "$folder/model.safetensors" --seconds 0 --json -
says out '"kernels": "default"' "bench takes a profile of a build with other kernels"
expect 0 "bench --profile make with a stale one" "$bitpilot" bench --model "$folder/model.safetensors" --profile make --seconds 0 --json -
says out '"kernels": "profile"' "bench --profile make with a stale one"
grep -q '"kernels": "0123"' "$kept" && fail "bench --profile make leaves a stale profile"
expect 0 "bench --profile make where nothing can be kept" env XDG_CACHE_HOME="$folder/bench.json" \
  "$bitpilot" bench --model "$folder/model.safetensors" --profile make --seconds 0 --json -
says out '"kernels": "profile"' "bench --profile make where nothing can be kept"
says err "warning: the profile cannot be kept" "bench --profile make where nothing can be kept"
expect 2 "bench --profile make of a backbone" "$bitpilot" bench --network resnet8 --size 16 --profile make
well_formed_error "bench --profile make of a backbone"

expect 2 "no model" "$bitpilot" bench
says err "give one of --model and --network" "bench without a model"
expect 2 "two models" "$bitpilot" profile --model "$folder/model.safetensors" --network resnet8 --out -
expect 3 "an unknown backbone" "$bitpilot" bench --network resnet9
says err 'did you mean "resnet8"' "an unknown backbone"
expect 2 "the policy as bits" "$bitpilot" bench --model "$folder/model.safetensors" --bits policy
compare=$BITPILOT_SOURCE/experiments/bench/compare_builds
expect 1 "compare_builds without a program" "$compare" "$bitpilot" "$folder/none" --network resnet8 --rounds 1 --seconds 0
says err "cannot be run" "compare_builds without a program"
grep -q Traceback "$folder/err" && fail "compare_builds ends in a traceback"
builds=("$compare" "$bitpilot" "$bitpilot" --model "$folder/model.safetensors" --bits 8 --rounds 3 --seconds 0)
expect 0 "compare_builds with one build twice" "${builds[@]}" --json "$folder/compare.json"
says out "new / old" "compare_builds"
python3 - "$folder/compare.json" <<'END' || fail "compare_builds' record"
import json, sys
record = json.load(open(sys.argv[1]))
assert record["schema"] == "bitpilot.compare/1" and record["rounds"] == 3, record
assert [row["layer"] for row in record["rows"]] == [None, "(layers)"], record
for row in record["rows"]:
    assert 0 < row["low"] <= row["ratio"] <= row["high"], row
    assert row["old_ms"] > 0 and row["new_ms"] > 0, row
assert any(row["low"] < row["high"] for row in record["rows"]), record
END
expect 0 "compare_builds with a bar that nothing misses" "${builds[@]}" --fail-over 1e9
expect 5 "compare_builds with a bar that everything misses" "${builds[@]}" --fail-over 0
# The comparison with other runtimes installs them first; what it asks for before that can be told anywhere.
peers=$BITPILOT_SOURCE/experiments/bench/peers
expect 0 "peers --help" "$peers" --help
says out '--cap {avx2,avx512vnni,none}' "peers --help"
expect 2 "peers without --json" "$peers"
expect 2 "peers with --json and --check" "$peers" --json "$folder/peers.json" --check
expect 2 "peers in one turn" "$peers" --json "$folder/peers.json" --turns 1
says err 'quartiles need several turns' "peers in one turn"
expect 2 "peers under an unknown cap" "$peers" --check --cap avx512
for cap in none avx2 avx512vnni; do
  expect 1 "peers --cap $cap" "$peers" --check --cap "$cap" --bin "$folder/none"
  says err 'holds no bitpilot' "peers --cap $cap"
done
expect 1 "peers without the programs" "$peers" --json "$folder/peers.json" --bin "$folder/none"
says err 'holds no bitpilot' "peers without the programs"
finish
