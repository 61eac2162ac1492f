// Keep the files of the page, so that it works offline after the first visit.

const PAGE = `affekt ${registration.scope}`; // other pages of the same site have caches of their own
const CACHE = `${PAGE} VERSION`; // build.mjs fills in a digest of the files, and their names
const FILES = ["FILES"];

addEventListener("install", (event) => {
  const requests = FILES.map((name) => new Request(name, { cache: "no-cache" })); // none of an older version, nor one twice
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const old = (names) => names.filter((name) => name.startsWith(`${PAGE} `) && name !== CACHE);
  const removed = caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name))));
  event.waitUntil(removed.then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((kept) => kept ?? fetch(event.request)));
});
