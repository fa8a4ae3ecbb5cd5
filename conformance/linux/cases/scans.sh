# nmap tries everything it has on the server; whoever talks goes on talking, and the server serves afterwards.
world 60000
serve || exit 1
start linux alive python3 "$here/peer.py" alive "$ours" 80
alive=$started
said alive connected "$alive" || exit 1
scan() {
  at linux timeout 40 nmap -n -Pn --max-retries 1 "$@" >"$work/nmap" 2>&1 || wrong "nmap $*: $(<"$work/nmap")"
  kill -0 "$server" 2>/dev/null || { wrong "the server ended under nmap $*: $(<"$work/serve")"; exit 1; }
}
scan -sS -p 1-1000 "$ours"
grep -Eq '^80/tcp +open' "$work/nmap" && grep -q 'Not shown: 999 closed' "$work/nmap" || wrong "-sS: $(<"$work/nmap")"
scan -6 -sS -p 1-100 "$ours6"
grep -Eq '^80/tcp +open' "$work/nmap" || wrong "-6 -sS: $(<"$work/nmap")"
scan -sV -O -p 79,80 "$ours"
note "nmap says: $(grep -E '^80/tcp|^OS details|^Running|^Aggressive|^No exact|TCP Sequence|IP ID' "$work/nmap" | tr '\n' ';')"
scan -sU -p 7,53,67,123,161 "$ours"
scan -sO -p 1,2,6,17,41,47,50 "$ours"
note "protocols: $(grep -E '^[0-9]+ ' "$work/nmap" | tr -s ' \n' ' ;')"
for kind in -sX -sN -sF -sA -sW -sM; do scan "$kind" -p 1-100 "$ours"; done
scan -sS -f -p 79-81 "$ours"
scan -sS --badsum -p 79-81 "$ours"
shows_page "$ours" || wrong "no page after the scans"
kill -INT "$alive"; wait "$alive" || wrong "who was connected lost the connection: $(<"$work/alive")"
! grep -qi panicked "$work/serve" || wrong "$(<"$work/serve")"
