# Two routers of Linux between two hosts of ours, and between the routers a link with a smaller MTU: our TCP must find
# out, on both sides and by both address families.
bytes=${BULK_BYTES:-50000000}
namespace west; namespace east
mtu=${ROUTER_MTU:-1280}
at west ip link add to-east type veth peer name to-west netns "${space[east]}"
number=1
for side in west east; do
  case $side in west) link=to-east other=2 ;; east) link=to-west other=1 ;; esac
  at "$side" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  tap "$side" "$side" "10.$number.0.1/24" "fd0$number::1/64"
  at "$side" ip link set "$link" mtu "$mtu" up
  at "$side" ip addr add "10.5.0.$number/24" dev "$link"
  at "$side" ip addr add "fd05::$number/64" dev "$link" nodad
  at "$side" ip route add "10.$other.0.0/24" via "10.5.0.$other"
  at "$side" ip route add "fd0$other::/64" via "fd05::$other"
  capture "$side" "$side"
  number=2
done
start east bulk "$EXAMPLES/bulk" --port east=10.2.0.9/24,fd02::9/64 --via 10.2.0.1 --via fd02::1 listen 9
said bulk 'is ready' "$started" || exit 1
for address in 10.2.0.9:9 '[fd02::9]:9'; do
  at west timeout 60 "$EXAMPLES/bulk" --port west=10.1.0.9/24,fd01::9/64 --via 10.1.0.1 --via fd01::1 \
    connect "$address" --up "$bytes" --down "$bytes" >"$work/connect" 2>&1 || wrong "with $address: $(<"$work/connect")"
  note "$address: $(<"$work/connect")"
done
