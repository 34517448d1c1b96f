import { Anchor, Stack, Text, Textarea } from "@mantine/core";
import { useRef, type ReactNode } from "react";
import { placeOfNode, indentedJson } from "./json-text.ts";
import { PictureDrop } from "./picture-drop.tsx";
import { type RefusalLine } from "./refusals.ts";

interface WorkflowEditorProps {
  readonly text: string;
  /** What is wrong with the text as a whole, or with its nodes. */
  readonly problems: readonly RefusalLine[];
  readonly onChange: (text: string) => void;
}

/** A graph as ComfyUI's API takes it, pasted or from a file. */
export function WorkflowEditor({ text, problems, onChange }: WorkflowEditorProps): ReactNode {
  const area = useRef<HTMLTextAreaElement>(null);
  const show = (nodeId: string): void => {
    const at = placeOfNode(text, nodeId);
    if (area.current === null || at === -1) return;
    area.current.focus();
    area.current.setSelectionRange(at, at + nodeId.length + 2);
    // The browser scrolls to a selection only when something is typed.
    const line = text.slice(0, at).split("\n").length - 1;
    const lines = text.split("\n").length;
    area.current.scrollTop = (area.current.scrollHeight * Math.max(0, line - 2)) / lines;
  };
  return (
    <Stack gap="sm">
      <PictureDrop onGraph={onChange} />
      <Textarea
        ref={area}
        label="Graph in API format"
        required
        rows={16}
        spellCheck={false}
        value={text}
        placeholder='{"3": {"class_type": "KSampler", "inputs": {…}}, …}'
        styles={{ input: { fontFamily: "monospace", fontSize: 13, whiteSpace: "pre", overflowX: "auto" } }}
        error={
          problems.length > 0 && (
            <Stack component="span" gap={4}>
              {problems.map(({ text: said, nodeId }, index) => (
                <Text key={index} component="span" size="sm" style={{ overflowWrap: "anywhere" }}>
                  {said}{" "}
                  {nodeId !== undefined && placeOfNode(text, nodeId) !== -1 && (
                    <Anchor
                      component="button"
                      type="button"
                      size="sm"
                      onClick={() => {
                        show(nodeId);
                      }}
                    >
                      Show the node
                    </Anchor>
                  )}
                </Text>
              ))}
            </Stack>
          )
        }
        onChange={(event) => {
          onChange(event.currentTarget.value);
        }}
        onPaste={(event) => {
          const pasted = event.clipboardData.getData("text");
          // A whole graph is made readable; parts of one are pasted as they are.
          if (text.trim() !== "" || !pasted.trimStart().startsWith("{")) return;
          event.preventDefault();
          onChange(indentedJson(pasted));
        }}
      />
    </Stack>
  );
}
