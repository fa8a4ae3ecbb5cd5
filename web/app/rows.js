// From a room's log and the outbox to the rows that are shown: a function without I/O.
//
// A row is { key, kind, … }; `key` stays the same while a message goes from waiting to arrived, so that
// its place in the document, and the reader's, is kept.

import { dayKey } from "./time.js";

const TOGETHER = 5 * 60_000; // milliseconds within which messages of one person stand under one name

/**
 * `unreadFrom` is the offset of the message above which the line "New" is drawn, or undefined.
 */
export function rowsOf({ messages, entries, me, myName, unreadFrom }) {
  const rows = [];
  let day = null;
  let above = null;
  const put = (row) => {
    const today = dayKey(row.time);
    if (today !== day) {
      day = today;
      above = null;
      rows.push({ kind: "day", key: `day ${day}`, time: row.time });
    }
    if (row.offset === unreadFrom && unreadFrom !== undefined) {
      above = null;
      rows.push({ kind: "unread", key: "unread" });
    }
    row.grouped = above !== null && above.user === row.user && above.name === row.name && row.time - above.time < TOGETHER;
    above = row;
    rows.push(row);
  };

  const changes = changesOf(entries);
  const arrived = new Set();
  for (const message of messages) {
    if (message.id) arrived.add(message.id);
    put(arrivedRow(message, changes.get(message.offset), me));
  }
  for (const entry of entries) {
    if (entry.method === "publish" && !arrived.has(entry.id)) put(waitingRow(entry, me, myName));
  }
  return rows;
}

/** Edits and deletions on their way, by the offset of their target. */
function changesOf(entries) {
  const changes = new Map();
  for (const entry of entries) if (entry.target !== undefined) changes.set(entry.target, entry);
  return changes;
}

function arrivedRow(message, change, me) {
  const own = message.user !== "" && message.user === me;
  const row = {
    kind: "message",
    key: own && message.id ? `id ${message.id}` : `offset ${message.offset}`,
    offset: message.offset,
    user: message.user,
    name: message.name,
    text: message.text,
    parcel: message.parcel,
    time: message.time,
    own,
    edited: message.edited,
    deleted: message.deleted,
    waiting: false,
    failed: null,
    entry: null,
  };
  if (!change || message.deleted) return row;
  const text = change.method === "edit" && !change.failed ? change.data.text : message.text;
  return { ...row, text, waiting: !change.failed, failed: change.failed, entry: change.id, method: change.method };
}

function waitingRow(entry, me, name) {
  return {
    kind: "message",
    key: `id ${entry.id}`,
    user: me,
    name,
    text: entry.data.text,
    time: entry.at,
    own: true,
    edited: false,
    deleted: false,
    waiting: !entry.failed,
    failed: entry.failed,
    entry: entry.id,
    method: entry.method,
  };
}
