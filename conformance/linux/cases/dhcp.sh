# dnsmasq lends an address, a way out and a name server; all of it is used, the address is given back in the end, and
# one that somebody has is declined.
world
lent=10.9.0.50
dns() {
  start linux "$1" dnsmasq --keep-in-foreground --log-facility=- --log-dhcp --conf-file=/dev/null --interface=fw0 --bind-interfaces \
    --except-interface=lo --no-resolv --no-hosts --no-ping --address=/door.lab/$linux --domain=lab --dhcp-option=option:router,$linux \
    --dhcp-option=option:mtu,1400 --dhcp-authoritative --dhcp-leasefile="$work/leases" --pid-file="$work/$1.pid" "${@:2}"
  server=$started
  said "$1" 'DHCP, IP range' "$server" || exit 1
}
dns dnsmasq --dhcp-range=$lent,10.9.0.60,2m
# A TAP that nobody holds has no carrier, and dnsmasq looks at it only once we do.
start linux serve "$FOURWIRE" serve --net tap:fw0 --address dhcp --insecure --memory --listen 0.0.0.0:80
serving=$started
said serve 'is ready' "$serving" 30 || exit 1
at linux "$FOURWIRE" net --net tap:fw0 >"$work/net"
address=$(grep -o '10\.9\.0\.[56][0-9]/24 preferred for' "$work/net" | cut -d/ -f1)
[[ -n $address ]] || wrong "no address was lent: $(<"$work/net")"
grep -q "^0.0.0.0/0 *$linux " "$work/net" || wrong "the lease brought no way out: $(<"$work/net")"
at linux curl -sS --max-time 10 "http://$address/" >"$work/page" && grep -qi '<!doctype html' "$work/page" || wrong 'no page at the address that was lent'
at linux ping -q -c 3 -i 0.2 -s 1300 "$address" >/dev/null || wrong 'no answer from the address that was lent'
stop "$serving"
grep -q 'DHCPRELEASE' "$work/dnsmasq" || wrong 'the address was not given back'
[[ ! -s $work/leases ]] || grep -q '^duid' "$work/leases" || wrong "a lease is left: $(<"$work/leases")"

# The name server that it told answers, by our own stack.
start linux http python3 "$here/peer.py" http "$work" 8080
said http 'is ready' "$started" || exit 1
echo door >"$work/door"
at linux "$FOURWIRE" get --net tap:fw0 --address dhcp http://door.lab:8080/door >"$work/got" && cmp "$work/door" "$work/got" || wrong 'the name was not found by the server that DHCP told'
stop "$server"

# Linux has the only address that is lent.
at linux ip addr add 10.9.0.70/32 dev fw0
dns contested --dhcp-range=10.9.0.70,10.9.0.70,2m
timeout 6 ip netns exec "${space[linux]}" "$FOURWIRE" ping --net tap:fw0 --address dhcp -c 1 "$linux" >"$work/declined" 2>&1
grep -q DHCPDECLINE "$work/contested" || wrong "an address that Linux has was taken: $(tail -5 "$work/contested")"
stop "$server"
