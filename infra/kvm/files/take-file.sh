#!/bin/sh
# Takes a file from its input, and has it under its name only once it is whole:
# take-file.sh FOLDER NAME BYTES. After the bytes come two lines: their sha256, and what FOLDER/NAME.json is to say.
# Who looks meanwhile, or after a power cut, sees a NAME.json only beside a whole NAME.db.
set -eu
umask 077

part=$1/.$2.part
trap 'rm -f "$part"' EXIT
head -c "$3" >"$part"
read -r expected
IFS= read -r about
actual=$(sha256sum <"$part")
actual=${actual%% *}
if [ "$actual" != "$expected" ]; then
    echo "what was written has the sha256 $actual, and $expected was sent" >&2
    exit 1
fi
sync "$part"
mv "$part" "$1/$2.db"
printf '%s\n' "$about" >"$part"
sync "$part"
mv "$part" "$1/$2.json"
sync "$1"
