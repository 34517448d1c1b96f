import { Anchor, CloseButton, Group, Image, Input, Loader, Stack, Text } from "@mantine/core";
import { Dropzone } from "@mantine/dropzone";
import { useMutation, useMutationState, type MutationKey } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { genga } from "../../connection/genga.ts";
import { bytesText } from "../../parts/bytes-text.ts";
import { type FileValue } from "./job-body.ts";
import { rejectionText } from "./rejection-text.ts";

interface FileInputProps {
  /** The form, and the field of it. */
  readonly form: string;
  readonly name: string;
  readonly label: string;
  readonly description?: string;
  readonly required: boolean;
  readonly error?: string;
  readonly value: FileValue | undefined;
  /** May be called when the input is not shown any more. */
  readonly onChange: (value: FileValue | undefined) => void;
  /** An output of another job is to be taken instead. */
  readonly onOutputWanted: () => void;
}

export const uploadsOf = (form: string): MutationKey => ["upload", form];

/**
 * A picture that is sent to the API as soon as it is dropped here; the job names it by its id. An upload belongs to the form,
 * and goes on while another part of the page is shown.
 */
export function FileInput({
  form,
  name,
  label,
  description,
  required,
  error,
  value,
  onChange,
  onOutputWanted,
}: FileInputProps): ReactNode {
  const [shown, setShown] = useState<string>();
  const [reason, setReason] = useState<string>();
  const mutationKey = [...uploadsOf(form), name];
  const { mutate } = useMutation({
    mutationKey,
    mutationFn: (file: File) => genga.upload(file, { mediaType: file.type }),
    onSuccess: ({ id, bytes, width, height }, file) => {
      onChange({ id, name: file.name, bytes, width, height });
    },
  });
  // Also of an upload that began before this was drawn anew.
  const upload = useMutationState({
    filters: { mutationKey, exact: true },
    select: ({ state: { status, error: refusal } }) => ({ status, refusal }),
  }).at(-1);
  const isPending = upload?.status === "pending";
  const take = ([file]: File[]): void => {
    if (file === undefined || isPending) return;
    // The picture is shown by whoever is there to show it.
    mutate(file, {
      onSuccess: () => {
        setShown(URL.createObjectURL(file));
      },
    });
  };
  useEffect(
    () => () => {
      if (shown !== undefined) URL.revokeObjectURL(shown);
    },
    [shown],
  );
  const refused = upload?.status === "error" ? messageOf(upload.refusal) : undefined;
  const said = error ?? reason ?? (refused && (refused.detail || refused.title));
  return (
    <Input.Wrapper
      label={label}
      labelElement="div"
      description={description}
      required={required}
      error={said}
    >
      {value === undefined ? (
        <Stack gap={4} mt={4} align="stretch">
          <Dropzone
            onDrop={take}
            onDropAny={(_files, rejections) => {
              setReason(rejectionText(rejections));
            }}
            maxFiles={1}
            multiple={false}
            loading={isPending}
            p="sm"
            inputProps={{ "aria-label": label }}
          >
            <Group gap="xs" mih={36}>
              {isPending && <Loader size="xs" />}
              <Text size="sm">Drop a picture here, or press to choose one.</Text>
            </Group>
          </Dropzone>
          <Anchor
            component="button"
            type="button"
            size="sm"
            ta="left"
            disabled={isPending}
            onClick={onOutputWanted}
          >
            Take an output of another job instead
          </Anchor>
        </Stack>
      ) : (
        <Group gap="sm" wrap="nowrap" mt={4}>
          {shown !== undefined && <Image src={shown} alt="" w={64} h={64} fit="contain" radius="sm" />}
          <Text size="sm" style={{ overflowWrap: "anywhere", flex: 1 }}>
            {value.name} · {value.width} × {value.height} · {bytesText(value.bytes)}
          </Text>
          <CloseButton
            aria-label={`Remove ${label}`}
            onClick={() => {
              setShown(undefined);
              setReason(undefined);
              onChange(undefined);
            }}
          />
        </Group>
      )}
    </Input.Wrapper>
  );
}
