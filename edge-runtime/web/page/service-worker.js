// Keeps the page's files, so that it works without its server. What the server has goes first: a newer page is never hidden.

const CACHE = "trishift";
const FILES = [
  "./", "app.js", "engine.js", "facts.js", "icon.svg", "inputs.js", "layers.js", "model.tsm", "pad.js", "result.js",
  "sentences.js", "strokes.js", "style.css", "tensors.js", "trishift.wasm",
];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(answer(event.request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok && (await cache.match(request))) await cache.put(request, response.clone());
    return response;
  } catch {
    return (await cache.match(request, { ignoreSearch: true })) ?? Response.error();
  }
}
