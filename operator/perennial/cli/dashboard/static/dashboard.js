// Keeps the page up to date: asks for its sections every two seconds and replaces those that have changed.
// The server has escaped everything; without this script the pages and the form still work.
"use strict";

const EVERY = 2000;
const source = document.body.dataset.live;
const parts = document.getElementById("parts");
const said = document.getElementById("say");
const link = document.getElementById("link");
const shown = new Map();
let spoken = null;

function inUse(section) {
  const selection = getSelection();
  const selects = selection && !selection.isCollapsed && section.contains(selection.anchorNode);
  const form = document.activeElement && document.activeElement.closest("form");
  return selects || (form && section.contains(form));
}

function made(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild;
}

function replace(old, fresh) {
  for (const open of old.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function show(page) {
  for (const section of [...parts.children]) if (!page.ids.includes(section.id)) section.remove();
  let before = null;
  for (const id of page.ids) {
    const old = document.getElementById(id);
    if (!old) {
      if (before) before.after(made(page.parts[id]));
      else parts.prepend(made(page.parts[id]));
    } else if (shown.get(id) !== page.parts[id]) {
      if (inUse(old)) {
        before = old;
        continue;
      }
      replace(old, made(page.parts[id]));
    }
    shown.set(id, page.parts[id]);
    before = document.getElementById(id);
  }
  document.title = `${page.title} – Perennial`;
  if (spoken !== null && spoken !== page.say) said.textContent = page.say;
  spoken = page.say;
}

function tell(text, kind) {
  if (link.textContent !== text) link.textContent = text;
  link.className = kind;
}

async function update() {
  if (document.hidden) return;
  try {
    const answer = await fetch(source + location.search, { cache: "no-store", signal: AbortSignal.timeout(60000) });
    if (answer.status === 403) {
      tell("This dashboard was started anew: open the address that the terminal shows.", "lost");
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
    tell("Live", "live");
  } catch {
    tell("No answer: is kubectl perennial dashboard still running? What you see may be old.", "lost");
  }
}

async function forever() {
  await update();
  setTimeout(forever, EVERY);
}

document.addEventListener("visibilitychange", update);
forever();
