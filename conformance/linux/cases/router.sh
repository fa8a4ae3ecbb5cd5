# Two routers of ours between two hosts of Linux, and between the routers a link with a smaller MTU: the hosts must find
# out. Each router has two TAPs; the one to its host is moved into the host's namespace once it is open.
namespace west; namespace middle; namespace east
mtu=${ROUTER_MTU:-1280}
longest=$((mtu + 14))
at middle ip link add between type bridge
at middle ip link set between mtu "$mtu" up
for side in west east; do
  at middle ip tuntap add dev "$side" mode tap
  at middle ip tuntap add dev "to-$side" mode tap
  at middle ip link set "to-$side" mtu "$mtu" master between up
done
start middle router-west "$EXAMPLES/router" --port west=10.1.0.1/24,fd01::1/64 --port to-west=10.5.0.1/24,fd05::1/64 \
  --via 10.2.0.0/24=10.5.0.2 --via fd02::/64=fd05::2
said router-west 'is ready' "$started" || exit 1
start middle router-east "$EXAMPLES/router" --port east=10.2.0.1/24,fd02::1/64 --port to-east=10.5.0.2/24,fd05::2/64 \
  --via 10.1.0.0/24=10.5.0.1 --via fd01::/64=fd05::1
said router-east 'is ready' "$started" || exit 1
number=1
for side in west east; do
  at middle ip link set "$side" netns "${space[$side]}"
  at "$side" ip addr add "10.$number.0.9/24" dev "$side"
  at "$side" ip addr add "fd0$number::9/64" dev "$side" nodad
  at "$side" ip link set "$side" up
  at "$side" ip route add default via "10.$number.0.1"
  at "$side" ip route add default via "fd0$number::1"
  capture "$side" "$side"
  number=2
done

head -c "${ROUTER_BYTES:-50000000}" /dev/urandom >"$work/file"
mkdir "$work/east"; ln "$work/file" "$work/east/file"
start east http python3 "$here/peer.py" http "$work/east" 8080
said http 'is ready' "$started" || exit 1
for host in 10.2.0.9 '[fd02::9]'; do
  at west curl -sS -g --max-time 30 -o "$work/got" -w '  from %{remote_ip}: %{speed_download} bytes/s\n' "http://$host:8080/file" && cmp "$work/file" "$work/got" || wrong "what came from $host differs"
  at west curl -sS -g --max-time 30 -T "$work/file" -w '  to %{remote_ip}: %{speed_upload} bytes/s\n' "http://$host:8080/put" && cmp "$work/file" "$work/east/put" || wrong "what went to $host differs"
done

for number in '' 6; do
  case $number in '') hops=(10.1.0.1 10.5.0.2 10.2.0.9) ;; 6) hops=(fd01::1 fd05::2 fd02::9) ;; esac
  at west timeout 20 tracepath -n "${hops[2]}" >"$work/trace"
  grep -q "pmtu $mtu" "$work/trace" && grep -q 'hops 3' "$work/trace" || wrong "tracepath: $(<"$work/trace")"
  for hop in "${hops[@]}"; do grep -qF " $hop " "$work/trace" || wrong "tracepath does not name $hop: $(<"$work/trace")"; done
  for way in -U -I -T; do
    at west timeout 20 traceroute -n -q 1 "$way" "${hops[2]}" >"$work/trace" 2>&1
    for hop in "${hops[@]}"; do grep -qF " $hop " "$work/trace" || wrong "traceroute $way does not name $hop: $(<"$work/trace")"; done
  done
  # As far as it may travel, and no further.
  at west ping -q -c 3 -i 0.1 -W 2 -t 3 "${hops[2]}" >/dev/null || wrong "no answer over three hops from ${hops[2]}"
  at west ping -c 1 -W 2 -t 2 "${hops[2]}" >"$work/ping" && wrong "an answer over two hops from ${hops[2]}"
  grep -Eqi 'time to live exceeded|hop limit' "$work/ping" || wrong "nobody says that two hops are too few to ${hops[2]}: $(<"$work/ping")"
done
