#!/usr/bin/env bash
# Help, version, wrong usage.
. "$BITPILOT_SOURCE/tests/support/cli.bash"
model

expect 0 "help" "$bitpilot" --help
cp "$folder/out" "$folder/help"
commands=$(awk '/^  [a-z]+ / && $1 != "bitpilot" {print $1}' "$folder/help")
for command in run eval degrade bench profile; do
  echo "$commands" | grep -qx "$command" || fail "help does not list $command"
done
for command in $commands; do
  expect 0 "$command --help" "$bitpilot" "$command" --help
  [ -s "$folder/err" ] && fail "$command --help writes to standard error"
  grep -q -- '--' "$folder/out" || fail "$command --help lists no flag"
  "$bitpilot" "$command" --help >/dev/full 2>"$folder/err"
  equal $? 4 "exit code of $command --help on a full disk"
  well_formed_error "$command --help on a full disk"
done
for flag in --model --source --decisions --append --budget --lambda --guard --bits --profile --max-frames --threads --roi --tile --reconnect-attempts --quiet --config; do
  "$bitpilot" run --help | grep -q -- "^  $flag" || fail "run --help does not list $flag"
done
for flag in --model --data --bits --profile --budget --lambda --guard --mixture --seed --limit --threads --json --fail-under --replay --quiet --config; do
  "$bitpilot" eval --help | grep -q -- "^  $flag" || fail "eval --help does not list $flag"
done
for flag in --model --network --size --channels --classes --bits --profile --policy --threads --seconds --json --config; do
  "$bitpilot" bench --help | grep -q -- "^  $flag" || fail "bench --help does not list $flag"
done
"$bitpilot" run --help | grep -q -- '--view' && fail "run --help lists flags that do not work yet"

expect 0 "version" "$bitpilot" --version
grep -Eq '^bitpilot [0-9]+\.[0-9]+\.[0-9]+ (scalar|avx2|avxvnni|avx512vnni|avx512vbmi)$' "$folder/out" || fail "version: $(cat "$folder/out")"
expect 0 "version of the portable kernels" env BITPILOT_ISA=scalar "$bitpilot" --version
says out scalar "BITPILOT_ISA"
expect 4 "an instruction set that is not there" env BITPILOT_ISA=neon9 "$bitpilot" --version

wrong() {  # CODE TEXT ARGS...
  local code=$1 text=$2
  shift 2
  expect "$code" "bitpilot $*" "$bitpilot" "$@"
  well_formed_error "bitpilot $*"
  says err "$text" "bitpilot $*"
}
wrong 2 "no command given"
wrong 2 "did you mean \`bitpilot eval\`" evla
wrong 2 "see \`bitpilot --help\`" frobnicate
wrong 2 "unknown flag --modle" run --modle x
wrong 2 "did you mean --model?" run --modle x
wrong 2 "--source SOURCE is missing" run --model "$folder/model.safetensors"
wrong 2 "--threads takes a whole number" run --model m --source s --threads many
wrong 2 "exclude each other" run --model "$folder/model.safetensors" --source . --budget 0.2 --lambda 1
wrong 2 "--budget takes" run --model "$folder/model.safetensors" --source . --budget 1.5
wrong 2 "--budget takes" run --model "$folder/model.safetensors" --source . --budget ms
for command in run eval; do
  wrong 2 "measure this machine with \`bitpilot profile\`" $command --model "$folder/model.safetensors" $([ $command = run ] && echo --source || echo --data) . --budget 2.5ms
done
wrong 2 "--tile takes width,height" run --model "$folder/model.safetensors" --source . --tile 224
wrong 2 "unknown flag --mod" run --mod m
wrong 2 "--roi takes" run --model "$folder/model.safetensors" --source . --roi 1,2,3
wrong 2 "did you mean half8" run --model "$folder/model.safetensors" --source . --bits halve8
wrong 2 "bits are not offered" run --model "$folder/model.safetensors" --source . --bits 5
wrong 2 "no source of the kind ftp://" run --model "$folder/model.safetensors" --source ftp://host/x
wrong 2 "give one of --data and --replay" eval --model "$folder/model.safetensors"
wrong 2 "did you mean held-out" eval --model "$folder/model.safetensors" --data . --mixture heldout
wrong 3 "no such file" run --model "$folder/missing.safetensors" --source .
wrong 3 "no such file or folder" run --model "$folder/model.safetensors" --source "$folder/missing"
echo '{"modle": "x"}' >"$folder/config.json"
wrong 3 'did you mean "model"?' run --config "$folder/config.json"
finish
