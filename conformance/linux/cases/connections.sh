# Ten thousand WebSocket connections at a time: all are alive, all hear what one of them says, all close; and the second
# ten thousand need no more memory than the first.
count=${CONNECTIONS:-10000}
world
serve --max-connections 20000 || exit 1
before=$(memory "$server")
for turn in 1 2; do
  # Each crowd has an address of its own: Linux looks long for a port when ten thousand are in TIME-WAIT.
  source=10.9.0.1$turn
  at linux ip addr add "$source/24" dev fw0
  mkfifo "$work/go"
  ip netns exec "${space[linux]}" python3 "$here/peer.py" connections "$ours" 80 "$count" "$source" <"$work/go" >"$work/connections" 2>&1 &
  crowd=$!; pids+=("$crowd")
  exec 3>"$work/go"
  said connections 'all are in' "$crowd" 45 || exit 1
  full[turn]=$(memory "$server")
  exec 3>&-
  wait "$crowd" || wrong "$(<"$work/connections")"
  note "$(tail -1 "$work/connections")"
  rm "$work/go"
  # The server gives back what it had for them.
  for _ in {1..100}; do
    open=$(at linux curl -sS --max-time 5 "http://$ours/metrics" | awk '/^fourwire_connections / { print $2 }')
    # The one that asks is open.
    ((open == 1)) && break
    sleep 0.1
  done
  [[ $open == 1 ]] || wrong "$open connections are open after all have closed"
  empty[turn]=$(memory "$server")
done
note "memory of our process in KiB: $before before, ${full[1]} and ${full[2]} with $count connections, ${empty[1]} and ${empty[2]} after"
((full[2] < full[1] + full[1] / 10)) || wrong "the second $count connections needed more memory than the first"
