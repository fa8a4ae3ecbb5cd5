// The pictures of the README: a small scene, seen at a desk and on a phone, in light and dark.
//
// The page uses the system's own font; the committed pictures were taken where that is Inter (fonts-inter).

import { fileURLToPath } from "node:url";

const place = (name) => fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url));
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 1.5 };

export async function take(world) {
  const mara = await world.window({ name: "Mara Lind" });
  const jonas = await world.window({ name: "Jonas", ...PHONE, colorScheme: "dark" });
  const ines = await world.window({ name: "Ines Okafor", colorScheme: "dark" });
  for (const window of [mara, jonas, ines]) window.expectCuts = true;
  const say = async (window, text) => {
    await window.page.fill("#text", text);
    await window.page.click("#send");
    await window.allSent();
    await mara.sees(text.split("\n")[0]);
  };

  await mara.join("harbour");
  await ines.join("harbour");
  await mara.go("lobby");
  await ines.go("lobby");
  await say(mara, "Good morning. The line to the harbour station is up again.");
  await say(mara, "I left this window open overnight: four reconnects, nothing missing.");
  await say(jonas, "On the train here, so expect me to come and go.\nWhatever I write in a tunnel should turn up at the other end.");
  await say(ines, "It does: each message carries an id, and the server keeps only one of each.");
  await say(ines, "The guarantees are written down: https://fourwire.example/guarantees");
  await say(mara, "Tide table for tomorow is in #harbour.");
  await mara.page.press("#text", "ArrowUp");
  await say(mara, "Tide table for tomorrow is in #harbour.");
  await say(jonas, "Thanks! Next tunnel in a minute.");
  await ines.go("harbour");
  await say2(ines, ["High water 06:12", "Low water 12:31"]);
  await ines.go("lobby");
  await ines.page.locator("#text").pressSequentially("Good, then let us");
  await mara.page.locator("#writing", { hasText: "Ines Okafor is writing…" }).waitFor();
  await mara.page.screenshot({ path: place("desk-light") });
  await jonas.page.locator("#writing", { hasText: "Ines Okafor is writing…" }).waitFor();
  await ines.page.screenshot({ path: place("desk-dark") });

  await jonas.context.setOffline(true);
  await jonas.lightTurns("offline");
  await jonas.page.fill("#text", "In the tunnel now.");
  await jonas.page.click("#send");
  await jonas.page.fill("#text", "Still dark.");
  await jonas.page.click("#send");
  await jonas.page.evaluate(() => document.activeElement.blur());
  await jonas.page.waitForTimeout(500);
  await jonas.page.screenshot({ path: place("phone-dark") });
  await jonas.context.setOffline(false);
  await mara.sees("Still dark.");

  const phone = await world.window({ name: "Teo", ...PHONE });
  await phone.sees("Still dark.");
  await phone.page.evaluate(() => document.activeElement.blur());
  await phone.page.waitForTimeout(300);
  await phone.page.screenshot({ path: place("phone-light") });
}

async function say2(window, texts) {
  for (const text of texts) {
    await window.say(text);
    await window.sees(text);
  }
}
