/** What a connector has counted since it was made. */
export interface ConnectorCounters {
  /** WebSocket messages of every kind. */
  messages: number;
  /** Messages that Genga does not understand: other types, other layouts, broken JSON. They are ignored and counted. */
  unknownMessages: number;
  /** Large `progress_state` messages that a newer one replaced before they were parsed. */
  replacedMessages: number;
  /** Connections lost after they had been open. */
  disconnects: number;
  /** Lookups: questions to queue and history. */
  lookups: number;
  /** Silent sockets that were closed and opened again while a prompt ran. */
  reopened: number;
}

export function nothingCounted(): ConnectorCounters {
  return { messages: 0, unknownMessages: 0, replacedMessages: 0, disconnects: 0, lookups: 0, reopened: 0 };
}
