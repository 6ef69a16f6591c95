#!/usr/bin/env bash
# README.md says what is true: its tables are those of experiments/results, its commands and flags exist, its paths too.
set -euo pipefail
source_dir=${BITPILOT_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}
bitpilot=${BITPILOT_BIN:?the folder of the built programs}/bitpilot
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "readme: $*"; exit 1; }

expect_exit() {  # expect_exit CODE COMMAND…
  local status=0
  "${@:2}" >"$scratch/log" 2>&1 || status=$?
  [ "$status" -eq "$1" ] || { cat "$scratch/log"; fail "${*:2} exits with $status, not $1"; }
}

# The table writer itself, on two seeds of one row.
mkdir -p "$scratch/experiments/results/a" "$scratch/docs/tables"
record() { printf '{"experiment":"e","method":"policy","seed":%s,"metrics":{"accuracy":%s,"bops":{"mean":5e6},"latency_ms":{"mean":2}}}' "$1" "$2"; }
record 1 0.90 >"$scratch/experiments/results/a/one.json"
record 2 0.92 >"$scratch/experiments/results/a/two.json"
columns='{"title":"accuracy","value":"metrics.accuracy","unit":"percent"},{"title":"MBOPs","value":"metrics.bops.mean","unit":"mbops"}'
tables() { printf '{"tables":[{"name":"t","rows":[{"label":"policy","where":{"method":"policy"}},{"label":"none","where":{"method":"x"}}],"columns":[%s]}]}' "$1"; }
tables "$columns,{\"title\":\"ms\",\"value\":\"metrics.latency_ms.mean\",\"unit\":\"ms\"}" >"$scratch/docs/tables/t.json"
printf 'text\n<!-- table t -->\nold\n<!-- end of table -->\nmore\n' >"$scratch/README.md"
write=("$source_dir/scripts/readme_tables" --root "$scratch")
expect_exit 5 "${write[@]}" --check
expect_exit 0 "${write[@]}"
expect_exit 0 "${write[@]}" --check
grep -qF '| policy | 91.00 ± 1.41 % | 5.0 ± 0.0 | 2.000 ± 0.000 | 2 |' "$scratch/README.md" ||
  { cat "$scratch/README.md"; fail "the table of two seeds is wrong"; }
if grep -q 'none' "$scratch/README.md"; then fail "a row without records is shown"; fi
record 2 0.93 >"$scratch/experiments/results/a/two.json"
expect_exit 5 "${write[@]}" --check
record 1 0.93 >"$scratch/experiments/results/a/two.json"
expect_exit 3 "${write[@]}" --check # two records of one seed
record 2 0.92 >"$scratch/experiments/results/a/two.json"
tables "$columns" >"$scratch/docs/tables/t.json"
expect_exit 3 "${write[@]}" --check # BOPs without milliseconds
tables '{"title":"cost","value":"metrics.accuracy","unit":"ratio"}' >"$scratch/docs/tables/t.json"
expect_exit 3 "${write[@]}" --check # a relative cost without them
tables '{"title":"cost","value":"metrics.accuracy","unit":"ratio"},{"title":"ms","text":"n.m."}' >"$scratch/docs/tables/t.json"
expect_exit 3 "${write[@]}" --check # nor does anybody say why
sed -i 's/"name":"t",/&"note":"n.m.: nobody had a clock.",/' "$scratch/docs/tables/t.json"
expect_exit 0 "${write[@]}"
grep -A 3 -F '| policy | 0.910 ± 0.014 | n.m. | 2 |' "$scratch/README.md" | grep -q '^n.m.: nobody had a clock.$' ||
  { cat "$scratch/README.md"; fail "a table does not say why it shows no milliseconds"; }
# "with" keeps the records that hold something there; a row may have a unit of its own.
printf '{"tables":[{"name":"t","with":["metrics.rivals"],"rows":[{"label":"points","unit":"points","instead":{"accuracy":"metrics.accuracy"}}],"columns":[{"title":"accuracy","value":"x"}]}]}' >"$scratch/docs/tables/t.json"
sed 's/"metrics":{/"metrics":{"rivals":null,/' "$scratch/experiments/results/a/one.json" >"$scratch/one" && mv "$scratch/one" "$scratch/experiments/results/a/one.json"
sed 's/"metrics":{/"metrics":{"rivals":{"gain":0},/' "$scratch/experiments/results/a/two.json" >"$scratch/two" && mv "$scratch/two" "$scratch/experiments/results/a/two.json"
expect_exit 0 "${write[@]}"
grep -qF '| points | +92.00 | 1 |' "$scratch/README.md" || { cat "$scratch/README.md"; fail "a table of the records with rivals is wrong"; }
# A table of another page stands there, and a page that differs is found.
printf '{"tables":[{"name":"t","rows":[]%s},{"name":"p","page":"docs/p.md","rows":[{"label":"policy"}],"columns":[{"title":"accuracy","value":"metrics.accuracy","unit":"percent"}]}]}' ',"columns":[]' >"$scratch/docs/tables/t.json"
printf '<!-- table p -->\n<!-- end of table -->\n' >"$scratch/docs/p.md"
expect_exit 5 "${write[@]}" --check
expect_exit 0 "${write[@]}"
grep -qF '| policy | 91.00 ± 1.41 % | 2 |' "$scratch/docs/p.md" || { cat "$scratch/docs/p.md"; fail "the table of another page is wrong"; }
expect_exit 0 "${write[@]}" --check
rm -r "$scratch/experiments/results"
tables '{"title":"accuracy","value":"metrics.accuracy","unit":"percent"}' >"$scratch/docs/tables/t.json"
expect_exit 0 "${write[@]}"
grep -q '^No results yet' "$scratch/README.md" || fail "a table without results does not say so"

# The real README.
expect_exit 0 "$source_dir/scripts/readme_tables" --check

# Its pictures are those of the records.
if [ "${BITPILOT_TRAINING:-ON}" = ON ]; then
  for set in seen held_out clean; do
    expect_exit 0 "$bitpilot-train" picture --results "$source_dir/experiments/results" --set $set --out "$scratch/$set.svg"
    cmp -s "$scratch/$set.svg" "$source_dir/docs/accuracy_$set.svg" ||
      fail "docs/accuracy_$set.svg differs from the records: bitpilot-train picture --set $set --out docs/accuracy_$set.svg"
  done
  expect_exit 3 "$bitpilot-train" picture --results "$scratch" --out "$scratch/none.svg"
  for axis in evaluations seconds; do
    expect_exit 0 "$bitpilot-train" picture --results "$source_dir/experiments/results" --learning $axis --out "$scratch/$axis.svg"
    cmp -s "$scratch/$axis.svg" "$source_dir/docs/learning_$axis.svg" ||
      fail "docs/learning_$axis.svg differs from the records: bitpilot-train picture --learning $axis --out docs/learning_$axis.svg"
  done
  expect_exit 3 "$bitpilot-train" picture --results "$scratch" --learning seconds --out "$scratch/none.svg"
  expect_exit 2 "$bitpilot-train" picture --results "$source_dir/experiments/results" --set families --out "$scratch/none.svg"
  expect_exit 2 "$bitpilot-train" picture --results "$scratch" --learning pictures --out "$scratch/none.svg"
  # Seeds are averaged point by point, and curves that do not match are refused.
  mkdir "$scratch/curves"
  learned() {  # learned SEED REWARD POINTS
    printf '{"metrics":{"validation":{"reward":%s},"curve":[%s]}}' "$2" "$3" >"$scratch/curves/hybrid-s$1-hybrid.json"
  }
  learned 0 -0.5 '{"evaluations":10,"seconds":1,"reward":-0.9},{"evaluations":100,"seconds":2,"reward":-0.5}'
  learned 1 -0.3 '{"evaluations":10,"seconds":1,"reward":-0.7},{"evaluations":100,"seconds":2,"reward":-0.3}'
  curves=("$bitpilot-train" picture --results "$scratch/curves" --learning evaluations --out)
  expect_exit 0 "${curves[@]}" "$scratch/two.svg"
  grep -q "hybrid, 2 seeds" "$scratch/two.svg" || fail "two seeds are not drawn as two"
  learned 0 -0.4 '{"evaluations":10,"seconds":1,"reward":-0.8},{"evaluations":100,"seconds":2,"reward":-0.4}'
  rm "$scratch/curves/hybrid-s1-hybrid.json"
  expect_exit 0 "${curves[@]}" "$scratch/mean.svg"
  cmp -s <(sed 's/, 2 seeds//' "$scratch/two.svg") "$scratch/mean.svg" || fail "the curve of two seeds is not their mean"
  learned 1 -0.3 '{"evaluations":10,"seconds":1,"reward":-0.7}'
  expect_exit 3 "${curves[@]}" "$scratch/none.svg"
fi

cd "$source_dir"
# Commands in its code blocks, continued lines joined: `bitpilot COMMAND … --flag …`.
awk '/^```/ { block = !block; next } block' README.md | sed -e ':join' -e '/\\$/{N;s/\\\n//;bjoin' -e '}' |
  sed -n 's|^ *\(\$ \)\{0,1\}\(build/release/bin/\)\{0,1\}bitpilot  *||p' >"$scratch/commands"
[ -s "$scratch/commands" ] || fail "README.md shows no bitpilot command"
"$bitpilot" --help >"$scratch/help"
while read -r command arguments; do
  case $command in --*) continue ;; esac
  grep -qE "^  $command " "$scratch/help" || {
    case $command:${BITPILOT_TRAINING:-ON} in
      train:OFF | search:OFF | export:OFF) continue ;;
    esac
    fail "README.md shows \`bitpilot $command\`, which bitpilot --help does not list"
  }
  "$bitpilot" "$command" --help >"$scratch/flags"
  for flag in $(grep -oE '(^|[ [])--[a-z][a-z-]*' <<<"$arguments" | tr -d ' [' | sort -u); do
    grep -qE -- "$flag([^a-z-]|$)" "$scratch/flags" || fail "README.md shows \`bitpilot $command $flag\`, which its --help does not list"
  done
done <"$scratch/commands"

# Paths in backticks that look like ours exist.
# shellcheck disable=SC2016  # the backticks are meant as they stand
grep -oE '`(scripts|runtime|data|quant|env|policy|experiments|tests|docs)/[A-Za-z0-9_./-]+`' README.md | tr -d '`' | sort -u >"$scratch/paths"
while read -r path; do
  [ -e "$path" ] || fail "README.md names $path, which does not exist"
done <"$scratch/paths"
echo "readme: tables, commands, flags and paths are true"
