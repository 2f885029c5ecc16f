#!/usr/bin/env bash
# Prints each occurrence of a word or phrase that CONTRIBUTING.md bans, and fails if there is one.
# Words also match inside names, such as `old_word` and `OldWord`, and with an ending.
set -euo pipefail
cd "$(dirname "$0")/../.."

begin='<!-- words: begin -->' end='<!-- words: end -->'
pattern=
while IFS= read -r word; do
  case $word in
    *' '*) pattern+="|\\b(?i:$word)\\b" ;;
    *)
      ending='(s|es|ed|ing)?'
      pattern+="|(?<![A-Za-z])$word$ending(?![a-z])|${word^}$ending(?![a-z])|(?<![A-Z])${word^^}(?![A-Z])"
      ;;
  esac
done < <(sed -n "/$begin/,/$end/{//!p}" CONTRIBUTING.md | tr '\n' ' ' | sed 's/ *, */\n/g; s/ *$/\n/')
[ -n "$pattern" ] || { echo "lint: CONTRIBUTING.md has no list of words" >&2; exit 2; }

# The list itself is no occurrence. The changelog quotes old names, and Cargo.lock names of others.
hits=$(git grep --untracked -nP "${pattern#|}" -- . ':!CHANGELOG.md' ':!Cargo.lock' |
  awk -F: -v begin="$(grep -nF "$begin" CONTRIBUTING.md | cut -d: -f1)" \
    -v end="$(grep -nF "$end" CONTRIBUTING.md | cut -d: -f1)" \
    '!($1 == "CONTRIBUTING.md" && $2 > begin && $2 < end)') || true
[ -z "$hits" ] || { printf '%s\nlint: banned words, see CONTRIBUTING.md\n' "$hits" >&2; exit 1; }
