// Keeps the page's files, so that it works without a network. The build fills in the version and the
// list. All but the page itself lie in a folder of the version's name, so that whatever a tab asks
// for is of the version that it began with: it comes from that version's cache, from the server, or
// not at all. A new version is for the tabs that are opened or loaded anew once it is all here.

const VERSION = "VERSION";
const FILES = ["FILES"];
const HOME = self.registration.scope;
const OURS = `facemask ${HOME} `; // another copy of this page may lie elsewhere on this host
const CACHE = OURS + VERSION;

self.addEventListener("install", (event) => event.waitUntil(store()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const asked = new URL(request.url);
  const address = asked.origin + asked.pathname;
  if (request.mode === "navigate" && [HOME, `${HOME}index.html`].includes(address)) {
    event.waitUntil(forget());
    event.respondWith(open());
  } else {
    event.respondWith(find(request));
  }
});

async function store() {
  const cache = await caches.open(CACHE);
  try {
    // The browser's own cache may hold the page of the version before: ask whether it has changed.
    const page = await fetch(HOME, { cache: "no-cache" });
    if (!(await page.clone().text()).includes(`${VERSION}/main.js`)) {
      throw new Error("the page on the server is of another version than its list of files");
    }
    await cache.addAll(FILES);
    await cache.put(HOME, page);
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
  await self.skipWaiting();
}

async function open() {
  const cache = await caches.open(CACHE);
  return (await cache.match(HOME)) ?? fetch(HOME);
}

async function find(request) {
  return (await caches.match(request, { ignoreSearch: true })) ?? fetch(request);
}

/** Delete the versions before, unless a tab is open that may be of one of them. */
async function forget() {
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (tabs.length) return;
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(OURS) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}
