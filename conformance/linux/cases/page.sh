# The page, by both address families, fifty times: the same bytes each time.
world
serve || exit 1
for url in "http://$ours/" "http://[$ours6]/"; do
  at linux curl -sS -g --max-time 10 "$url" -o "$work/page" && grep -qi '<!doctype html' "$work/page" || wrong "no page at $url"
done
for _ in {1..50}; do
  at linux curl -sS --max-time 10 "http://$ours/" | cmp -s - "$work/page" || { wrong "a page differs"; break; }
done
