"use strict";
const { WebSocketServer } = require("ws");

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

/** Sends every message back as it came: text as text, bytes as bytes. */
exports.upgrade = (request, socket, head) => {
  if (new URL(request.url, "http://sandbox").pathname !== "/echo") {
    socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    return;
  }
  socket.setNoDelay(true);
  sockets.handleUpgrade(request, socket, head, (peer) => {
    peer.on("message", (data, isBinary) => peer.send(data, { binary: isBinary }));
    peer.on("error", () => peer.terminate());
  });
};
