import { ask } from "../../parts/ask.tsx";

/** Asks before something that cannot be taken back. */
export function confirm(title: string, text: string, action: string, onConfirm: () => void): void {
  ask({ title, text, confirm: action, cancel: "Cancel", color: "red", onConfirm });
}
