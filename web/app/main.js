// The page, put together: one connection, the rooms on it, what is waiting to be sent, and the views.

import { Composer } from "./composer.js";
import { Connection, addressOf } from "./connection.js";
import { askName, confirm } from "./dialogs.js";
import { DocumentView } from "./document.js";
import { $, beforePaint, setText } from "./dom.js";
import { identity } from "./identity.js";
import { Light } from "./light.js";
import { Messages } from "./messages.js";
import { Notifier } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Panels } from "./panels.js";
import { People } from "./people.js";
import { Rooms } from "./rooms.js";
import { Sidebar } from "./sidebar.js";

const connection = new Connection(addressOf(location));
const rooms = new Rooms(connection);
const outbox = new Outbox(connection, (channel) => rooms.get(channel)?.caughtUp ?? true);

const panels = new Panels();
const people = new People();
const sidebar = new Sidebar(rooms, () => {
  panels.close({ refocus: false });
  composer.focus();
});
const notifier = new Notifier((channel) => rooms.go(channel));
const messages = new Messages(outbox, {
  edit: (row) => composer.edit(rooms.active.log.get(row.offset)),
  remove,
  retry: (id) => outbox.retry(id),
  discard: (id) => outbox.discard(id),
  looked,
});
const composer = new Composer({
  say(text) {
    outbox.add({ method: "publish", channel: rooms.active.channel, data: { text } });
    messages.toEnd();
  },
  change: (message, text) => outbox.add({ method: "edit", channel: rooms.active.channel, target: message.offset, data: { text } }),
  lastOwn: () => messages.lastOwn(),
  writing: (still) => rooms.active?.writing(still),
});
const paper = new DocumentView({ left: () => composer.focus() });
new Light(connection, outbox);

const render = beforePaint(() => {
  messages.render();
  people.render();
  renderUnread();
});
const renderUnread = beforePaint(() => {
  const unread = sidebar.render();
  const channel = rooms.active?.channel;
  setText(document.querySelector("title"), `${unread > 0 ? `(${unread}) ` : ""}${channel ? `#${channel} · ` : ""}Fourwire`);
  navigator.setAppBadge?.(unread).catch(() => {});
});

rooms
  .on("active", (room) => {
    setText($("title"), room.channel);
    messages.show(room);
    people.show(room);
    composer.show(room);
    paper.room(room.channel);
    looked();
    render();
  })
  .on("change", (room) => {
    if (room === rooms.active) {
      looked();
      render();
    } else renderUnread();
  })
  .on("arrived", (room, id) => outbox.discard(id))
  .on("caughtUp", () => outbox.pump())
  .on("message", (room, message) => {
    if (message.user === identity.user) return;
    if (room !== rooms.active || !looking()) notifier.message(room.channel, message);
  });

outbox
  .on("sent", (entry, place) => rooms.get(entry.channel)?.acknowledged(entry, place))
  .on("change", () => render());

addEventListener("focus", looked);
addEventListener("blur", () => messages.lookedAway());
document.addEventListener("visibilitychange", looked);

addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
  event.preventDefault();
  rooms.move(event.key === "ArrowUp" ? -1 : 1);
});

$("skip").addEventListener("click", () => composer.focus());
$("leave").addEventListener("click", () => leave(rooms.active));
$("me").addEventListener("click", async () => {
  panels.close({ refocus: false });
  if (await askName()) {
    connection.introduce();
    paper.rename();
  }
  render();
});

start();

async function start() {
  if (identity.name === "") await askName();
  connection.open();
  rooms.open();
  if (!matchMedia("(pointer: coarse)").matches) composer.focus();
}

function looking() {
  return document.visibilityState === "visible" && document.hasFocus() && messages.atEnd;
}

function looked() {
  if (looking()) rooms.active?.markRead();
}

async function remove(row) {
  const channel = rooms.active.channel;
  const sure = await confirm({ title: "Delete this message?", text: row.text, yes: "Delete" });
  if (sure) outbox.add({ method: "delete", channel, target: row.offset });
  composer.focus();
}

async function leave(room) {
  const sure = await confirm({
    title: `Leave #${room.channel}?`,
    text: "It goes from your list. You can join again at any time.",
    yes: "Leave",
  });
  panels.close({ refocus: false });
  if (sure) rooms.leave(room);
}
