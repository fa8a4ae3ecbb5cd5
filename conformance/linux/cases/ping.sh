# Linux pings us, with packets of ordinary size and with such as need fragments.
world
serve || exit 1
for size in "${sizes[@]:-56}"; do
  for address in "$ours" "$ours6"; do
    at linux ping -q -c 20 -i 0.01 -W 2 -s "$size" "$address" >"$work/ping" && grep -q ' 0% packet loss' "$work/ping" || wrong "$(<"$work/ping")"
  done
done
