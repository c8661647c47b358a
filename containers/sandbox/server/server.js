"use strict";
// The sandbox's server. CommonJS and little of it is loaded before it listens: its start is part of every claim that
// starts a workload. Everything else is required when it is first asked for.
const http = require("node:http");
const { answer } = require("./answer.js");

const ROUTES = {
  "GET /healthz": (_request, response) => answer(response, 200, { ok: true }),
  "GET /whoami": (...call) => require("./about.js").whoami(...call),
  "GET /config": (...call) => require("./about.js").config(...call),
  "POST /crash": (...call) => require("./trouble.js").crash(...call),
  "POST /hang": (...call) => require("./trouble.js").hang(...call),
  "POST /burn": (...call) => require("./trouble.js").burn(...call),
};

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://sandbox");
  if (url.pathname.startsWith("/files/")) return require("./files.js").files(request, response, url);
  const route = ROUTES[`${request.method} ${url.pathname}`];
  if (route) return route(request, response, url);
  answer(response, 404, { error: "not_found" });
});

server.on("upgrade", (...call) => require("./echo.js").upgrade(...call));
server.keepAliveTimeout = 60_000; // callers keep their connections; closing one under a request would fail it
server.listen(Number(process.env.PORT ?? 8080));

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
