// What came into a room by another door: mail with its subject, files with their names, pictures.
//
// Room data may be anything, and anybody may write it, so every field is looked at before it is believed.

import { element } from "./dom.js";

const ID = /^[0-9a-f]{32}$/;
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MOST = 64; // files of one message that are shown
const WIDEST = 320; // pixels of a thumbnail, as style.css has it

/** { via, from, subject, files } of a publication's data, or null when it came by no other door. */
export function parcelOf(data, info) {
  if (data === null || typeof data !== "object") return null;
  const files = (Array.isArray(data.files) ? data.files : []).slice(0, MOST).map(fileOf).filter(Boolean);
  const subject = text(data.subject);
  if (files.length === 0 && subject === "" && !data.via) return null;
  // Who has said it, the server knows; only where it does not, what came with it counts.
  const from = info ? null : { name: text(data.from?.name), address: text(data.from?.address) };
  return { via: text(data.via), from, subject, files };
}

/** The name under which the sender of a parcel is shown; empty when it has none. */
export function senderOf(parcel) {
  return parcel?.from?.name || parcel?.from?.address || "";
}

/** Where somebody who looks at the message sees what came, as nodes. */
export function nodesOfParcel(parcel) {
  if (!parcel) return [];
  const nodes = [];
  if (parcel.subject) nodes.push(element("p", { className: "subject", dir: "auto" }, parcel.subject));
  return nodes;
}

/** The files of a parcel, as a list; null when there are none. */
export function filesOfParcel(parcel) {
  if (!parcel || parcel.files.length === 0) return null;
  return element("ul", { className: "files", "aria-label": "Files" }, ...parcel.files.map(item));
}

/** Says where it came from, beside the sender's name; null for what was written here. */
export function originOf(parcel) {
  if (!parcel?.via) return null;
  const words = { smtp: "by mail", ftp: "by FTP" };
  return element("span", { className: "origin", title: parcel.from?.address || "" }, words[parcel.via] ?? parcel.via.slice(0, 20));
}

function item(file) {
  const href = `files/${file.id}/${encodeURIComponent(file.name.split("/").pop())}`;
  const size = sizeOf(file.size);
  if (file.width > 0 && file.height > 0 && PICTURES.has(file.type)) {
    const width = Math.min(WIDEST, file.width);
    const picture = element("img", {
      src: `thumbnails/${file.id}`,
      alt: file.name,
      width,
      height: Math.max(1, Math.round((width * file.height) / file.width)),
      loading: "lazy",
      decoding: "async",
    });
    const link = element("a", { className: "picture", href, target: "_blank", rel: "noopener noreferrer", title: `${file.name}, ${size}` }, picture);
    return element("li", {}, link);
  }
  return element(
    "li",
    {},
    element("a", { className: "file", href, download: file.name.split("/").pop() }, element("span", { className: "file-name" }, file.name), element("span", { className: "file-size" }, size)),
  );
}

function fileOf(file) {
  if (file === null || typeof file !== "object" || !ID.test(file.id)) return null;
  const number = (value) => (Number.isSafeInteger(value) && value >= 0 ? value : 0);
  return {
    id: file.id,
    name: text(file.name) || "file",
    size: number(file.size),
    type: text(file.type),
    width: number(file.width),
    height: number(file.height),
  };
}

function text(value) {
  return typeof value === "string" ? value : "";
}

function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  let size = bytes / 1000;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}
