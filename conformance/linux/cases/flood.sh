# Ten seconds of SYNs from addresses that never answer: who is connected goes on talking, a transfer goes on, and
# honest new connections still get in, by SYN cookies.
world
serve || exit 1
start linux alive python3 "$here/peer.py" alive "$ours" 80
alive=$started
said alive connected "$alive" || exit 1
start linux flood python3 "$here/peer.py" flood "$ours" 80 fw0 "${FLOOD_RATE:-5000}" 10
flood=$started
said flood flooding "$flood" || exit 1
sleep 1
pages=0
while kill -0 "$flood" 2>/dev/null && ((pages < 40)); do
  shows_page "$ours" || { wrong "no page under the flood"; break; }
  ((++pages))
done
wait "$flood" || wrong "$(<"$work/flood")"
((pages >= 5)) || wrong "only $pages pages came under the flood"
note "$(tail -1 "$work/flood"); $pages pages came meanwhile"
kill -INT "$alive"; wait "$alive" || wrong "who was connected lost the connection: $(<"$work/alive")"
note "who was connected: $(tail -1 "$work/alive")"
