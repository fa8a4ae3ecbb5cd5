# Who may not make an interface is told what is missing and how to get it.
namespace linux
if at linux setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$FOURWIRE" serve --net tap:fw9 --address 10.9.9.2/24 \
  --insecure --memory --listen 10.9.9.2:80 >"$work/told" 2>&1; then wrong "it served"; fi
grep -q CAP_NET_ADMIN "$work/told" && grep -q 'ip tuntap add dev fw9 mode tap user' "$work/told" || wrong "$(<"$work/told")"
