# The page, by both address families, fifty times: the same bytes each time.
world
serve || exit 1
for host in "[$ours6]" "$ours"; do shows_page "$host" || wrong "no page at $host"; done
for _ in {1..50}; do
  at linux curl -sS --max-time 10 "http://$ours/" | cmp -s - "$work/page" || { wrong "a page differs"; break; }
done
