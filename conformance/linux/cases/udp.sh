# Linux asks our echo, and hears what it said.
world
start linux udp "$FOURWIRE" udp "${net[@]}" echo "$ours:7"
sleep 1
peer linux udp "$ours" 7 || wrong "the echo is not what was said"
