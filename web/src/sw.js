// Keeps the page's files, so that it works without a network. The build fills in the list; as its
// version is made from their content, a new page takes over on the visit after it was fetched.

const CACHE = "facemask-VERSION";
const FILES = ["FILES"];

self.addEventListener("install", (event) => {
  // The browser's own cache may hold files of the version before: ask whether they have changed.
  const requests = FILES.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then((names) =>
      Promise.all(
        names
          .filter((name) => name.startsWith("facemask-") && name !== CACHE)
          .map((name) => caches.delete(name)),
      ),
    ),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    caches
      .open(CACHE)
      .then((cache) => cache.match(event.request, { ignoreSearch: true }))
      .then((kept) => kept ?? fetch(event.request)),
  );
});
