# A file from a server of Linux to our client, by both address families.
world
head -c 30000000 /dev/urandom >"$work/file"
start linux http python3 "$here/peer.py" http "$work" 8080
said http 'is ready' "$started" || exit 1
for host in "$linux" "[$linux6]"; do
  at linux "$FOURWIRE" get "${net[@]}" --output "$work/got" "http://$host:8080/file" && cmp "$work/file" "$work/got" || wrong "what came from $host differs"
done
