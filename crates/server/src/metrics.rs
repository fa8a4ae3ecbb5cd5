//! What the server counts, and how it tells (OpenMetrics text, which Prometheus reads).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hub::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The media type of [`exposition`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the doors count. The same for all shards.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Answered requests, by the part of the server that answered and by status.
    pub(crate) requests: Tally<(&'static str, u16)>,
    /// Requests that stayed outside, by reason.
    pub(crate) denied: Tally<&'static str>,
    /// TLS handshakes that came to nothing, by reason.
    pub(crate) tls_failures: Tally<&'static str>,
    /// HTTP connections that did not end in order, by reason.
    pub(crate) http_failures: Tally<&'static str>,
    /// WebSocket handshakes, by `accepted` or why not.
    pub(crate) handshakes: Tally<&'static str>,
    /// WebSocket connections that ended, by how and with which close code (zero for none).
    pub(crate) ends: Tally<(&'static str, u16)>,
    /// FTP sessions that ended, by how.
    pub(crate) ftp_ends: Tally<&'static str>,
    /// SMTP sessions that ended, by how.
    pub(crate) smtp_ends: Tally<&'static str>,
}

/// Numbers under a bounded set of names.
#[derive(Debug)]
pub(crate) struct Tally<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Tally<K> {
    pub(crate) fn count(&self, key: K) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    pub(crate) fn read(&self) -> BTreeMap<K, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything there is to tell at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Summed over the shards: [`add`].
    pub(crate) hub: Counters,
    /// Sessions that were closed because they did not read as fast as their rooms talked.
    pub(crate) slow_sessions: u64,
    pub(crate) shards: u64,
    pub(crate) connections_open: u64,
    pub(crate) connections_accepted: u64,
    pub(crate) connections_refused: u64,
    /// Of the files of rooms.
    pub(crate) file_bytes: u64,
    pub(crate) counts: Arc<Counts>,
}

/// `snapshot` as text.
pub(crate) fn exposition(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("fourwire");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Adds one shard's counters to `sum`.
pub(crate) fn add(sum: &mut Counters, shard: Counters) {
    // Whole, so that a new counter is not forgotten here.
    let Counters {
        sessions,
        connected,
        subscriptions,
        rooms,
        members,
        history_bytes,
        waiting,
        waiting_bytes,
        pending,
        sessions_total,
        received_bytes_total,
        commands_total,
        publications_total,
        refused_total,
        duplicates_total,
        signals_total,
        deliveries_total,
        recovered_total,
        unrecovered_total,
        store_failures_total,
        lagged_total,
        errors_total,
        disconnects_total,
        documents,
    } = shard;
    sum.documents.add(&documents);
    sum.sessions += sessions;
    sum.connected += connected;
    sum.subscriptions += subscriptions;
    sum.rooms += rooms;
    sum.members += members;
    sum.history_bytes += history_bytes;
    sum.waiting += waiting;
    sum.waiting_bytes += waiting_bytes;
    sum.pending += pending;
    sum.sessions_total += sessions_total;
    sum.received_bytes_total += received_bytes_total;
    sum.publications_total += publications_total;
    sum.refused_total += refused_total;
    sum.duplicates_total += duplicates_total;
    sum.signals_total += signals_total;
    sum.deliveries_total += deliveries_total;
    sum.recovered_total += recovered_total;
    sum.unrecovered_total += unrecovered_total;
    sum.store_failures_total += store_failures_total;
    sum.lagged_total += lagged_total;
    merge(&mut sum.commands_total, commands_total);
    merge(&mut sum.errors_total, errors_total);
    merge(&mut sum.disconnects_total, disconnects_total);
}

fn merge<K: Ord>(sum: &mut BTreeMap<K, u64>, part: BTreeMap<K, u64>) {
    for (key, count) in part {
        *sum.entry(key).or_default() += count;
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut write = Writer(&mut encoder);
        let hub = &self.hub;
        write.gauge("shards", "Cores that serve", self.shards)?;
        write.gauge("connections", "TCP connections that are open", self.connections_open)?;
        write.counter("connections_accepted", "TCP connections taken", self.connections_accepted)?;
        write.counter(
            "connections_refused",
            "TCP connections reset because too many were open",
            self.connections_refused,
        )?;
        write.gauge("sessions", "Clients' connections", hub.sessions)?;
        write.gauge("sessions_connected", "Clients whose connect command was accepted", hub.connected)?;
        write.counter("sessions_started", "Clients' connections there have been", hub.sessions_total)?;
        write.counter("sessions_slow", "Clients closed for not reading", self.slow_sessions)?;
        write.gauge("subscriptions", "Rooms that clients are in, summed over clients", hub.subscriptions)?;
        write.gauge(
            "file_bytes",
            "Bytes of the files of rooms, and of uploads under way",
            self.file_bytes,
        )?;
        write.gauge("rooms", "Rooms in memory", hub.rooms)?;
        write.gauge("room_members", "Clients in rooms, summed over rooms", hub.members)?;
        write.gauge(
            "history_bytes",
            "Bytes of publications and ids that rooms have in memory, about",
            hub.history_bytes,
        )?;
        write.gauge("publications_waiting", "Publications that wait for the store", hub.waiting)?;
        write.gauge(
            "publications_waiting_bytes",
            "Bytes of what is to be published and not stored yet",
            hub.waiting_bytes,
        )?;
        write.gauge("commands_pending", "Commands that wait for a room or the store", hub.pending)?;
        write.counter("received_bytes", "Bytes of clients' messages", hub.received_bytes_total)?;
        write.counter("publications", "Publications stored and acknowledged", hub.publications_total)?;
        write.counter(
            "publications_refused",
            "Publishes refused because too much waited for the store",
            hub.refused_total,
        )?;
        write.counter(
            "publications_duplicate",
            "Publishes answered from the memory of ids",
            hub.duplicates_total,
        )?;
        write.counter("signals", "Signals passed on", hub.signals_total)?;
        write.counter("deliveries", "Frames handed to subscribers", hub.deliveries_total)?;
        write.counter("recoveries", "Recoveries that found all that was missed", hub.recovered_total)?;
        write.counter("recoveries_failed", "Recoveries that could not", hub.unrecovered_total)?;
        write.counter("store_failures", "Writes to the store that failed", hub.store_failures_total)?;
        write.counter("mailbox_overflows", "Times a shard's mailbox overflowed", hub.lagged_total)?;
        let documents = &hub.documents;
        write.gauge("documents", "Documents in memory", documents.documents)?;
        write.gauge("documents_bytes", "Bytes in the store of documents in memory", documents.bytes)?;
        write.gauge("document_sessions", "Connections to documents", documents.sessions)?;
        write.gauge("document_clients", "Clients at documents", documents.clients)?;
        write.counter("document_updates", "Updates stored and acknowledged", documents.updates_total)?;
        write.counter("document_snapshots", "Snapshots in the place of logs", documents.snapshots_total)?;
        write.counter(
            "document_updates_refused",
            "Updates refused by a limit, or of who may only read",
            documents.refused_total,
        )?;
        write.counter("document_denied", "Clients that a document was denied to", documents.denied_total)?;
        write.counter(
            "document_malformed",
            "Clients closed for what is not the protocol, or no update",
            documents.malformed_total,
        )?;
        write.counter(
            "document_panics",
            "Times the CRDT library failed and a document was made anew",
            documents.panics_total,
        )?;
        write.counter(
            "document_unreadable",
            "Times a document could not be made from the store",
            documents.unreadable_total,
        )?;
        write.counter(
            "document_awareness_refused",
            "States of awareness without room",
            documents.awareness_refused_total,
        )?;
        write.family("commands", "Clients' commands", &["command"], &hub.commands_total, |key| {
            [(*key).into()]
        })?;
        write
            .family("errors", "Errors in answers", &["code"], &hub.errors_total, |code| [code.to_string()])?;
        write.family(
            "disconnects",
            "Clients closed by the hub",
            &["code"],
            &hub.disconnects_total,
            |code| [code.to_string()],
        )?;
        let counts = &self.counts;
        write.family(
            "http_requests",
            "HTTP requests answered",
            &["part", "status"],
            &counts.requests.read(),
            |(part, status)| [(*part).into(), status.to_string()],
        )?;
        write.family(
            "http_denied",
            "HTTP requests kept out",
            &["reason"],
            &counts.denied.read(),
            |reason| [(*reason).into()],
        )?;
        write.family(
            "tls_failures",
            "TLS handshakes that came to nothing",
            &["reason"],
            &counts.tls_failures.read(),
            |reason| [(*reason).into()],
        )?;
        write.family(
            "http_failures",
            "HTTP connections that did not end in order",
            &["reason"],
            &counts.http_failures.read(),
            |reason| [(*reason).into()],
        )?;
        write.family(
            "websocket_handshakes",
            "WebSocket handshakes",
            &["outcome"],
            &counts.handshakes.read(),
            |outcome| [(*outcome).into()],
        )?;
        write.family(
            "websocket_ends",
            "WebSocket connections that ended",
            &["how", "code"],
            &counts.ends.read(),
            |(how, code)| [(*how).into(), code.to_string()],
        )?;
        write.family("ftp_ends", "FTP sessions that ended", &["how"], &counts.ftp_ends.read(), |how| {
            [(*how).into()]
        })?;
        write.family("smtp_ends", "SMTP sessions that ended", &["how"], &counts.smtp_ends.read(), |how| {
            [(*how).into()]
        })
    }
}

struct Writer<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn family<K, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        values: &BTreeMap<K, u64>,
        label: impl Fn(&K) -> [String; N],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (key, value) in values {
            let values = label(key);
            let labels: Vec<_> = labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_counted_is_told() {
        let mut hub = Counters::default();
        for _ in 0..2 {
            let shard = Counters {
                sessions: 3,
                commands_total: [("publish", 2)].into(),
                disconnects_total: [(3008, 1)].into(),
                ..Counters::default()
            };
            add(&mut hub, shard);
        }
        let counts = Arc::new(Counts::default());
        counts.requests.count(("api", 200));
        counts.requests.count(("api", 200));
        counts.http_failures.count("head_timeout");
        let text = exposition(Snapshot { hub, shards: 2, counts, ..Snapshot::default() }).unwrap();
        for line in [
            "# TYPE fourwire_sessions gauge",
            "fourwire_sessions 6",
            "fourwire_commands_total{command=\"publish\"} 4",
            "fourwire_disconnects_total{code=\"3008\"} 2",
            "fourwire_http_requests_total{part=\"api\",status=\"200\"} 2",
            "fourwire_http_failures_total{reason=\"head_timeout\"} 1",
            "fourwire_connections_accepted_total 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
