// Keeps the page on the visitor's own disk: after the first visit it opens without a network, and without asking the server
// for anything that is here. scripts/offline.sh fills in the build and the SHA-256 of every file, by which the browser checks
// what it fetches: a cache holds files of one build, or none at all.
"use strict";

const FILES = {/* files */};
const SCOPE = self.registration.scope;
const OURS = `chrysalis ${SCOPE} `;
const CACHE = `${OURS}/* build */`;
// Engines and weights are large, and a visitor needs one of each: they are kept once the page says that it uses them.
const AT_ONCE = Object.keys(FILES).filter((path) => !/^(worker-|weights\/)/.test(path));

// Fetches a file of this build. Fails when the server has another one by now.
async function fetchOurs(path) {
  const get = async (cache) => {
    const response = await fetch(new URL(path, SCOPE), { integrity: FILES[path], cache });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response;
  };
  // The browser's own cache may have it, or an older one.
  return get("default").catch(() => get("reload"));
}

async function keep(path) {
  const cache = await caches.open(CACHE);
  if (!(await cache.match(new URL(path, SCOPE)))) await cache.put(new URL(path, SCOPE), await fetchOurs(path));
}

async function answer(path) {
  const cache = await caches.open(CACHE);
  return (await cache.match(new URL(path, SCOPE))) ?? fetchOurs(path);
}

// The page itself. Whoever opens it anew, in no other tab at the same time, gets the build that has been made ready meanwhile.
async function answerPage() {
  const { waiting } = self.registration;
  if (waiting && (await self.clients.matchAll()).length < 2) {
    waiting.postMessage({ takeOver: true });
    return new Response("", { headers: { "Content-Type": "text/html", Refresh: "0" } });
  }
  return answer("index.html");
}

self.addEventListener("install", (event) => event.waitUntil(Promise.all(AT_ONCE.map(keep))));

self.addEventListener("activate", (event) => {
  const others = (names) => names.filter((name) => name.startsWith(OURS) && name !== CACHE);
  event.waitUntil(caches.keys().then((names) => Promise.all(others(names).map((name) => caches.delete(name)))));
});

self.addEventListener("message", (event) => {
  if (event.data?.takeOver) self.skipWaiting();
  // Files that the page uses, by the beginnings of their paths. What cannot be kept is fetched again another time.
  const used = (path) => event.data?.keep?.some((beginning) => path.startsWith(beginning));
  event.waitUntil(Promise.allSettled(Object.keys(FILES).filter(used).map(keep)));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const at = url.origin + url.pathname;
  if (event.request.method !== "GET" || !at.startsWith(SCOPE)) return;
  const path = decodeURIComponent(at.slice(SCOPE.length)) || "index.html";
  if (!Object.hasOwn(FILES, path)) return;
  event.respondWith(path === "index.html" ? answerPage() : answer(path));
});
