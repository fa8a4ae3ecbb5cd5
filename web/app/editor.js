// The room's document in an editor: one text that all who have it open write in at once.
//
// It is kept in this browser too, so that it opens and takes edits without a connection; what was written meanwhile is
// merged when the connection is back. This file and the library are loaded when somebody first opens a document.

import {
  Annotation,
  Decoration,
  Doc,
  EditorState,
  EditorView,
  HighlightStyle,
  HocuspocusProvider,
  IndexeddbPersistence,
  UndoManager,
  ViewPlugin,
  WidgetType,
  createAbsolutePositionFromRelativePosition,
  createRelativePositionFromTypeIndex,
  defaultKeymap,
  drawSelection,
  keymap,
  markdown,
  placeholder,
  syntaxHighlighting,
  tags,
  yCollab,
  yUndoManagerKeymap,
} from "../vendor/editor/editor.js";
import { tintOf } from "./dom.js";
import { identity } from "./identity.js";

/** Where in the document the text is. */
const TEXT = "content";

/**
 * Opens the document `name` in `parent`. `tell` is called with what is to be said of it: `state` is one of "saved",
 * "saving", "offline" and "closed" (with a `reason`), `people` are those who have it open.
 */
export function open(name, parent, tell) {
  const doc = new Doc();
  const text = doc.getText(TEXT);
  const kept = new IndexeddbPersistence(`fourwire.document.${name}`, doc);
  let refused = null;
  const provider = new HocuspocusProvider({
    url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/hocuspocus`,
    name,
    document: doc,
    token: "",
    delay: 500,
    minDelay: 500,
    maxDelay: 5_000,
    onStatus: report,
    onSynced: report,
    onUnsyncedChanges: report,
    onAuthenticationFailed: ({ reason }) => report((refused = reason)),
    onClose({ event }) {
      if (event.code === 1000 && event.reason) refused = event.reason;
      report();
    },
  });
  const { awareness } = provider;
  const undoManager = new UndoManager(text);
  awareness.setLocalStateField("user", { name: identity.name, tint: tintOf(identity.user || identity.name) });
  awareness.on("change", report);

  // In a shadow root the editor's styles come as a sheet of their own, which the page's content policy allows.
  const root = parent.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text.toString(),
      extensions: [
        keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
        drawSelection(),
        EditorView.lineWrapping,
        markdown(),
        syntaxHighlighting(HIGHLIGHT),
        placeholder("Write here together…"),
        EditorView.contentAttributes.of({ "aria-label": `Document of ${name}`, spellcheck: "true" }),
        yCollab(text, null, { undoManager }),
        cursors(awareness, text),
        THEME,
      ],
    }),
  });
  report();

  function report() {
    if (!provider) return;
    const connected = provider.configuration.websocketProvider.status === "connected";
    const state = refused ? "closed" : !connected ? "offline" : provider.hasUnsyncedChanges || !provider.synced ? "saving" : "saved";
    const people = [...awareness.getStates()].filter(([id, { user }]) => user && id !== doc.clientID).map(([, { user }]) => user);
    tell({ state, reason: refused, people });
  }

  return {
    focus: () => view.focus(),
    rename: () => awareness.setLocalStateField("user", { name: identity.name, tint: tintOf(identity.user || identity.name) }),
    close() {
      awareness.off("change", report);
      view.destroy();
      provider.destroy();
      undoManager.destroy();
      kept.destroy();
      doc.destroy();
    },
  };
}

/** Somebody's cursor has moved. */
const moved = Annotation.define();

/** Tells the others where our cursor is, and shows theirs. */
function cursors(awareness, text) {
  return ViewPlugin.fromClass(
    class {
      constructor(view) {
        this.decorations = Decoration.none;
        this.listener = ({ added, updated, removed }) => {
          const others = [...added, ...updated, ...removed].some((id) => id !== awareness.clientID);
          if (others) view.dispatch({ annotations: [moved.of(true)] });
        };
        awareness.on("change", this.listener);
      }

      destroy() {
        awareness.off("change", this.listener);
        awareness.setLocalStateField("cursor", null);
      }

      update(update) {
        const { view, state } = update;
        if (update.selectionSet || update.focusChanged || update.docChanged) {
          const { anchor, head } = state.selection.main;
          const at = (index) => createRelativePositionFromTypeIndex(text, index);
          const cursor = view.hasFocus ? JSON.stringify({ anchor: at(anchor), head: at(head) }) : null;
          if (cursor !== this.told) {
            this.told = cursor;
            awareness.setLocalStateField("cursor", cursor && JSON.parse(cursor));
          }
        }
        this.decorations = Decoration.set(this.#ofOthers(state.doc.length), true);
      }

      #ofOthers(length) {
        const found = [];
        for (const [id, { cursor, user }] of awareness.getStates()) {
          if (id === awareness.clientID || !cursor || !user) continue;
          const at = (position) => createAbsolutePositionFromRelativePosition(position, awareness.doc);
          const [anchor, head] = [at(cursor.anchor), at(cursor.head)];
          if (anchor?.type !== text || head?.type !== text) continue;
          const tint = Number.isInteger(user.tint) && user.tint >= 0 && user.tint < 8 ? user.tint : 0;
          const [from, to] = [anchor.index, head.index].sort((a, b) => a - b).map((index) => Math.min(index, length));
          if (from < to) found.push(Decoration.mark({ class: `selected tint-${tint}` }).range(from, to));
          const widget = new Cursor(String(user.name ?? ""), tint);
          found.push(Decoration.widget({ widget, side: 1 }).range(Math.min(head.index, length)));
        }
        return found;
      }
    },
    { decorations: (plugin) => plugin.decorations },
  );
}

class Cursor extends WidgetType {
  constructor(name, tint) {
    super();
    this.name = name;
    this.tint = tint;
  }

  eq(other) {
    return other.name === this.name && other.tint === this.tint;
  }

  toDOM() {
    const cursor = document.createElement("span");
    cursor.className = `cursor tint-${this.tint}`;
    cursor.setAttribute("aria-hidden", "true");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = this.name;
    // Without a character of its own it would change the line's height.
    cursor.append("\u2060", name);
    return cursor;
  }

  ignoreEvent() {
    return true;
  }
}

const TINTS = Object.fromEntries(
  Array.from({ length: 8 }, (_, tint) => [`.tint-${tint}`, { "--tint": `var(--tint-${tint})` }]),
);

const THEME = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "inherit", lineHeight: "1.65", overflow: "auto" },
  ".cm-content": { maxWidth: "760px", margin: "0 auto", padding: "30px 22px 40vh", caretColor: "var(--accent)" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-placeholder": { color: "var(--soft)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    background: "var(--accent-soft)",
  },
  ".selected": { backgroundColor: "color-mix(in srgb, var(--tint) 60%, transparent)" },
  ".cursor": { position: "relative", borderLeft: "2px solid color-mix(in srgb, var(--tint) 70%, var(--ink))", marginInline: "-1px" },
  ".cursor .name": {
    position: "absolute",
    bottom: "100%",
    left: "-2px",
    padding: "0 6px",
    borderRadius: "6px 6px 6px 0",
    background: "var(--tint)",
    color: "var(--tint-ink)",
    fontSize: "0.72rem",
    fontWeight: "600",
    lineHeight: "1.5",
    whiteSpace: "nowrap",
    pointerEvents: "none",
    userSelect: "none",
  },
  ...TINTS,
});

const HIGHLIGHT = HighlightStyle.define([
  { tag: tags.heading1, fontSize: "1.6rem", fontWeight: "680", letterSpacing: "-0.015em" },
  { tag: tags.heading2, fontSize: "1.3rem", fontWeight: "660" },
  { tag: tags.heading, fontWeight: "650" },
  { tag: tags.strong, fontWeight: "700" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: [tags.link, tags.url], color: "var(--accent)" },
  { tag: tags.monospace, fontFamily: "ui-monospace, monospace", fontSize: "0.94em" },
  { tag: [tags.processingInstruction, tags.quote], color: "var(--soft)" },
]);
