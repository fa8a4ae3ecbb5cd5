# As ping, with packets that need fragments: 65,000 bytes is nearly all that IP has room for.
sizes=(1473 9000 65000)
source "$here/cases/ping.sh"
