// The two questions that are asked: what is your name, and are you sure.

import { $ } from "./dom.js";
import { identity, tidyName } from "./identity.js";

/** Asks for a name until there is one; resolves to whether it has changed. */
export function askName() {
  const dialog = $("welcome");
  const first = identity.name === "";
  $("welcome-title").textContent = first ? "Welcome to Fourwire" : "Change your name";
  $("welcome-text").hidden = !first;
  $("welcome-go").textContent = first ? "Come in" : "Change";
  $("welcome-cancel").hidden = first;
  $("welcome-cancel").onclick = () => dialog.close("cancel");
  $("name").value = identity.name;
  $("name").setCustomValidity("");
  $("name").oninput = () => $("name").setCustomValidity(tidyName($("name").value) === "" ? "A name needs a letter or two." : "");
  // At the first visit Escape does not close: there is nothing behind it yet.
  dialog.oncancel = (event) => first && event.preventDefault();
  dialog.returnValue = "";
  dialog.showModal();
  $("name").select();
  return new Promise((resolve) => {
    $("welcome-form").onsubmit = (event) => {
      event.preventDefault();
      dialog.close("go");
    };
    dialog.onclose = () => {
      const name = tidyName($("name").value);
      if (first && name === "") return resolve(askName());
      const changed = dialog.returnValue === "go" && name !== "" && name !== identity.name;
      if (changed) identity.rename(name);
      resolve(changed);
    };
  });
}

/** Resolves to whether the person said yes. */
export function confirm({ title, text, yes }) {
  const dialog = $("confirm");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  $("confirm-yes").focus();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}
