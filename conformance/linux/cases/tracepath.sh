# Linux traces the way to us: we are the first hop, and the path is as wide as the link.
world
serve || exit 1
for address in "$ours" "$ours6"; do
  at linux timeout 20 tracepath -n "$address" >"$work/trace"
  grep -qF " $address " "$work/trace" && grep -q 'pmtu 1500 hops 1 ' "$work/trace" || wrong "tracepath: $(<"$work/trace")"
  for way in -U -I; do
    at linux timeout 20 traceroute -n -q 1 "$way" "$address" >"$work/trace" 2>&1
    grep -Eq "^ 1  $address  [0-9.]+ ms" "$work/trace" || wrong "traceroute $way: $(<"$work/trace")"
  done
  at linux timeout 20 traceroute -n -q 1 -T -p 80 "$address" >"$work/trace" 2>&1
  grep -Eq "^ 1  $address  [0-9.]+ ms" "$work/trace" || wrong "traceroute -T: $(<"$work/trace")"
done
