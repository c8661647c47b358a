/**
 * A WebSocket ticket on its way: as one of the protocols of the handshake, which no log keeps, or in the query, for
 * clients that cannot name protocols. Either way it is ours and the container never sees it.
 */
const PROTOCOL = "boilerhouse.ticket.";
const PARAMETER = "boilerhouse_ticket";

export interface TicketBearer {
  ticket: string | null;
  /** The workload's own protocols; null when there are none. */
  protocols: string | null;
  /**
   * The ticket's protocol, where it was the only one: browsers end a handshake whose answer names none of the protocols
   * that they offered, and the container does not know this one.
   */
  answer: string | null;
  /** The path with its query, without the ticket. */
  path: string;
}

export const ticketProtocol = (ticket: string): string => `${PROTOCOL}${ticket}`;

/** Pure. @param path starts with `/` and includes the query; @param offered the header `Sec-WebSocket-Protocol` */
export function withoutTicket(path: string, offered: string | null): TicketBearer {
  const query = fromQuery(path);
  if (!offered?.includes(PROTOCOL)) {
    return { ticket: query.ticket, protocols: offered, answer: null, path: query.path };
  }
  const all = offered.split(",").map((protocol) => protocol.trim());
  const own = all.filter((protocol) => !protocol.startsWith(PROTOCOL));
  const named = all.find((protocol) => protocol.startsWith(PROTOCOL)) ?? null;
  return {
    ticket: named?.slice(PROTOCOL.length) ?? query.ticket,
    protocols: own.length > 0 ? own.join(", ") : null,
    answer: own.length > 0 ? null : named,
    path: query.path,
  };
}

/** Leaves every other character of the path as it is. */
function fromQuery(path: string): { ticket: string | null; path: string } {
  const start = path.indexOf("?");
  if (start === -1 || !path.includes(PARAMETER, start)) return { ticket: null, path };
  const pairs = path.slice(start + 1).split("&");
  const isTicket = (pair: string) => pair === PARAMETER || pair.startsWith(`${PARAMETER}=`);
  const ticket = pairs.find(isTicket)?.slice(PARAMETER.length + 1) ?? null;
  const rest = pairs.filter((pair) => !isTicket(pair)).join("&");
  return { ticket: ticket === "" ? null : ticket, path: path.slice(0, start) + (rest === "" ? "" : `?${rest}`) };
}
