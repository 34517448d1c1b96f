import { Alert, Group, Stack, Text } from "@mantine/core";
import { Dropzone } from "@mantine/dropzone";
import { IconPhotoCode } from "@tabler/icons-react";
import { useState, type ReactNode } from "react";
import { indentedJson } from "./json-text.ts";
import { graphOfFile } from "./picture-graph.ts";
import { rejectionText } from "./rejection-text.ts";

/** A picture that ComfyUI made brings its graph; so does a file of JSON. The file stays in the browser. */
export function PictureDrop({ onGraph }: { onGraph: (text: string) => void }): ReactNode {
  const [reason, setReason] = useState<string>();
  const read = async (file: File): Promise<void> => {
    const found = await graphOfFile(file);
    setReason((rejected) => found.reason ?? rejected);
    if (found.reason === undefined) onGraph(indentedJson(found.graph));
  };
  return (
    <Stack gap="xs">
      <Dropzone
        p="sm"
        maxFiles={1}
        multiple={false}
        inputProps={{ "aria-label": "A picture made by ComfyUI, or a graph" }}
        onDropAny={(_files, rejections) => {
          setReason(rejectionText(rejections));
        }}
        onDrop={([file]) => {
          if (file === undefined) return;
          read(file).catch((error: unknown) => {
            setReason(
              `The file could not be read: ${error instanceof Error ? error.message : String(error)}`,
            );
          });
        }}
      >
        <Group gap="sm" wrap="nowrap">
          <IconPhotoCode size={28} aria-hidden style={{ flex: "none" }} />
          <Text size="sm">
            Drop a picture that ComfyUI or Genga made (PNG, WebP): it brings its graph. Or a graph in API
            format (JSON).
          </Text>
        </Group>
      </Dropzone>
      {reason !== undefined && (
        <Alert color="orange" role="alert">
          {reason}
        </Alert>
      )}
    </Stack>
  );
}
