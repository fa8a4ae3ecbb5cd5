# Much data between Linux and us, with SHA-256 over every direction: to us, from us, and both ways at once.
bytes=${BULK_BYTES:-200000000}
world
start linux bulk "$EXAMPLES/bulk" --port "fw0=$ours/24,$ours6/64" listen 9
said bulk 'is ready' "$started" || exit 1
for address in "$ours" "$ours6"; do
  peer linux bulk "$address" 9 "$bytes" 0 || wrong "to us at $address"
  peer linux bulk "$address" 9 0 "$bytes" || wrong "from us at $address"
  peer linux bulk "$address" 9 "$bytes" "$bytes" || wrong "both ways at $address"
done
