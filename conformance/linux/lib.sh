# What the cases share. `bash lib.sh CASE` runs cases/CASE.sh in a world of its own: the namespaces that it makes, the
# processes that it starts and the directory $work are gone afterwards.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=$1
work=$(mktemp -d)
linux=10.9.0.1 ours=10.9.0.2 linux6=fd09::1 ours6=fd09::2
spaces=() pids=() captures=()
status=0

# A complaint: the case fails, and goes on.
wrong() { echo "  $*"; status=1; }
note() { echo "  $*"; }

clean() {
  local pid space
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  for space in "${spaces[@]}"; do ip netns del "$space" 2>/dev/null; done
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' TERM INT

# A namespace: its full name is ${space[SHORT]}.
declare -A space
namespace() {
  space[$1]=fourwire-$$-$1
  ip netns add "${space[$1]}" || exit 1
  spaces+=("${space[$1]}")
  at "$1" ip link set lo up
}
at() { local where=$1; shift; ip netns exec "${space[$where]}" "$@"; }
# A process in the background: `ip netns exec` becomes it, so that $! is the one to kill.
start() { local where=$1 log=$2; shift 2; ip netns exec "${space[$where]}" "$@" >"$work/$log" 2>&1 & started=$!; pids+=("$started"); }
# Waits until a process has said something, ten seconds unless told otherwise.
said() {
  local log=$1 words=$2 pid=$3 end=$((SECONDS + ${4:-10}))
  while ((SECONDS <= end)); do
    grep -qs -- "$words" "$work/$log" && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  echo "  $log did not say \"$words\": $(<"$work/$log")"
  return 1
}
stop() { kill -TERM "$1" 2>/dev/null; wait "$1" 2>/dev/null; }

# A TAP with Linux's addresses.
tap() {
  local where=$1 device=$2 address
  shift 2
  at "$where" ip tuntap add dev "$device" mode tap
  for address in "$@"; do case $address in *:*) at "$where" ip addr add "$address" dev "$device" nodad ;; *) at "$where" ip addr add "$address" dev "$device" ;; esac; done
  at "$where" ip link set "$device" up
}

# The first packets on a device, for `sound`.
capture() {
  local where=$1 device=$2
  start "$where" "capture-$device" dumpcap -q -i "$device" -c "${3:-20000}" -w "$work/$device.pcapng"
  said "capture-$device" '^File' "$started" || exit 1
  captures+=("$started $device $(at "$where" cat "/sys/class/net/$device/address")")
}

# Whether what came from our side of every captured device is well formed and has good checksums. Linux's own checksums
# are not in yet where it is captured, so that only ours are looked at; and neither are those of segments that are longer
# than the way takes, which Linux takes from us uncut.
longest=1514
sound() {
  local one pid device mac count
  for one in "${captures[@]}"; do
    read -r pid device mac <<<"$one"
    # It is told to end when the kernel has handed it everything.
    sleep 0.3; kill -INT "$pid" 2>/dev/null; wait "$pid" 2>/dev/null
    [[ -n ${FOURWIRE_KEEP:-} ]] && cp "$work/$device.pcapng" "$FOURWIRE_KEEP/$name-$device.pcapng"
    judged "$work/$device.pcapng" "eth.src != $mac && frame.len <= $longest" >"$work/ours" || { wrong "tshark cannot read what $device carried"; continue; }
    count=$(wc -l <"$work/ours")
    ((count)) || wrong "nothing of ours was seen on $device"
    awk -F'\t' '$3 != ""' "$work/ours" >"$work/bad"
    [[ ! -s $work/bad ]] || wrong "tshark: $(wc -l <"$work/bad") of $count packets of ours on $device are not sound, such as $(head -3 "$work/bad")"
  done
}
judged() {
  # What goes over TCP is not looked into: a port is often somebody's, and its bytes then nonsense to Wireshark.
  # What an ICMP error quotes ends where it is cut off, and its checksum covers more: of an error only its own counts.
  # Linux writes a sum of zero as 0xffff in TCP too, which is the same number, and a router passes that on.
  tshark -n -r "$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE \
    -d tcp.port==1-65535,data --disable-protocol dns \
    -Y "$2" -T fields -E occurrence=a -e frame.number -e ip.checksum.status -e icmp.type -e icmp.checksum.status \
    -e icmpv6.type -e icmpv6.checksum.status -e _ws.malformed -e _ws.expert.message -e _ws.col.Info 2>"$work/tshark" |
    awk -F'\t' -v OFS='\t' '{
      if ($3 ~ /^(3|5|11|12)(,|$)/) bad = $2 ~ /^0/ || $4 ~ /^0/
      else if ($5 ~ /^[1-4](,|$)/) bad = $6 ~ /^0/
      else {
        said = $8
        gsub(/TCP Checksum 0xffff instead of 0x0000/, "", said)
        bad = $7 != "" || said ~ /[Cc]hecksum|[Mm]alformed|[Bb]ogus/
      }
      print $1, $9, bad ? "bad " $7 " " $8 : "" }'
  return "${PIPESTATUS[0]}"
}

# The usual world: Linux in one namespace, we behind the TAP fw0.
world() {
  namespace linux
  tap linux fw0 "$linux/24" "$linux6/64"
  net=(--net tap:fw0 --address "$ours/24" --address "$ours6/64" --gateway "$linux" --gateway "$linux6")
  capture linux fw0 "${1:-20000}"
}
# The hub on our TCP/IP; its id is $server.
serve() {
  start linux serve "$FOURWIRE" serve "${net[@]}" --insecure --memory --listen "$ours:80" --listen "[$ours6]:80" "$@"
  server=$started
  said serve 'is ready' "$server"
}
# How much memory a process has, in KiB.
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
# Whether the hub's page is at an address.
shows_page() { at linux curl -sS -g --max-time 10 "http://$1/" -o "$work/page" && grep -qi '<!doctype html' "$work/page"; }
peer() { local where=$1; shift; at "$where" python3 "$here/peer.py" "$@"; }

# shellcheck source=/dev/null
source "$here/cases/$name.sh"
sound
exit "$status"
