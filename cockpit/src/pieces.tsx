// Pieces of PatternFly that this page is built of.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { Refusal } from "./program";

type Severity = "danger" | "warning" | "info" | "success";

/** A colour alone says nothing to people who do not see it. */
const WORDS: Record<Severity, string> = { danger: "Error", warning: "Warning", info: "Note", success: "Done" };

interface AlertProps {
    severity: Severity;
    /** In place of the severity's own. */
    word?: string;
    title: string;
    children?: ComponentChildren;
}

export function Alert({ severity, word = WORDS[severity], title, children }: AlertProps) {
    return (
        <div class={`pf-v6-c-alert pf-m-inline pf-m-${severity}`} role={severity === "danger" ? "alert" : "status"}>
            <p class="pf-v6-c-alert__title">
                {word}: {title}
            </p>
            {children && <div class="pf-v6-c-alert__description">{children}</div>}
        </div>
    );
}

/** What a command has said beside its answer. */
export function Warnings({ of }: { of: string[] }) {
    return (
        <>
            {of.map((text) => (
                <Alert severity="warning" title={text} />
            ))}
        </>
    );
}

/** Why something was not done. */
export function Refused({ why }: { why: unknown }) {
    if (!(why instanceof Refusal)) return <Alert severity="danger" title={String(why)} />;
    return (
        <Alert severity="danger" title={why.text}>
            {why.hint}
        </Alert>
    );
}

interface ButtonProps {
    kind?: "primary" | "secondary" | "danger" | "link";
    onClick?: () => void;
    disabled?: boolean;
    submit?: boolean;
    /** It has the focus when it appears. */
    focused?: boolean;
    /** What it is about, where several buttons have the same text: for people who hear the page. */
    about?: string;
    children: ComponentChildren;
}

export function Button({ kind = "secondary", onClick, disabled = false, submit = false, focused = false, about, children }: ButtonProps) {
    const button = useRef<HTMLButtonElement>(null);
    useEffect(() => {
        if (focused) button.current?.focus();
    }, []);
    return (
        <button
            ref={button}
            type={submit ? "submit" : "button"}
            class={`pf-v6-c-button pf-m-${kind}${kind === "link" ? " pf-m-inline" : ""}${disabled ? " pf-m-disabled" : ""}`}
            onClick={onClick}
            disabled={disabled}
        >
            <span class="pf-v6-c-button__text">
                {children}
                {about !== undefined && <span class="pf-v6-screen-reader"> {about}</span>}
            </span>
        </button>
    );
}

/** Something to fill in, below its label. */
function Labelled({ id, label, children }: { id: string; label: string; children: ComponentChildren }) {
    return (
        <div class="pf-v6-c-form__group">
            <div class="pf-v6-c-form__group-label">
                <label class="pf-v6-c-form__label" for={id}>
                    <span class="pf-v6-c-form__label-text">{label}</span>
                </label>
            </div>
            <div class="pf-v6-c-form__group-control">{children}</div>
        </div>
    );
}

interface FieldProps {
    label: string;
    value: string;
    onInput: (value: string) => void;
    hint?: string;
    fault?: string | undefined;
    type?: "text" | "password" | "search" | "date";
    numeric?: boolean;
    code?: boolean;
    focused?: boolean;
    required?: boolean;
    choices?: string[];
    /** The earliest day. */
    min?: string;
}

export function Field(props: FieldProps) {
    const { label, value, onInput, hint, fault, type = "text", numeric, code, focused, required, choices, min } = props;
    const id = useId();
    const input = useRef<HTMLInputElement>(null);
    useEffect(() => {
        if (focused) input.current?.focus();
    }, [focused, fault]);
    const told = fault ?? hint;
    const list = choices ? { list: `${id}-choices` } : {};
    return (
        <Labelled id={id} label={label}>
            <span class={`pf-v6-c-form-control${fault ? " pf-m-error" : ""}`}>
                <input
                    id={id}
                    ref={input}
                    {...{ type: type as "text", ...list }}
                    value={value}
                    onInput={(event) => onInput(event.currentTarget.value)}
                    required={required}
                    min={min}
                    spellcheck={false}
                    autocapitalize="off"
                    autocomplete={code ? "one-time-code" : "off"}
                    {...(numeric ? { inputMode: "numeric" as const } : {})}
                    {...(told ? { "aria-describedby": `${id}-hint` } : {})}
                    {...(fault ? { "aria-invalid": true } : {})}
                />
            </span>
            {choices && (
                <datalist id={`${id}-choices`}>
                    {choices.map((choice) => (
                        <option value={choice} />
                    ))}
                </datalist>
            )}
            {told && (
                <div class="pf-v6-c-form__helper-text" id={`${id}-hint`} aria-live="polite">
                    <div class="pf-v6-c-helper-text">
                        <div class={`pf-v6-c-helper-text__item${fault ? " pf-m-error" : ""}`}>
                            <span class="pf-v6-c-helper-text__item-text">{told}</span>
                        </div>
                    </div>
                </div>
            )}
        </Labelled>
    );
}

interface ChoiceProps {
    label: string;
    value: string;
    onChange: (value: string) => void;
    options: Record<string, string>;
}

export function Choice({ label, value, onChange, options }: ChoiceProps) {
    const id = useId();
    return (
        <Labelled id={id} label={label}>
            <span class="pf-v6-c-form-control">
                <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
                    {Object.entries(options).map(([word, text]) => (
                        <option value={word}>{text}</option>
                    ))}
                </select>
            </span>
        </Labelled>
    );
}

interface ModalProps {
    title: string;
    /** Escape and the corner close it; not while something is shown that is shown once. */
    onClose?: (() => void) | undefined;
    footer: ComponentChildren;
    children: ComponentChildren;
    onSubmit?: () => void;
}

/** A window before the page: the browser keeps the focus within it. */
export function Modal({ title, onClose, footer, children, onSubmit }: ModalProps) {
    const dialog = useRef<HTMLDialogElement>(null);
    const id = useId();
    useEffect(() => {
        const opened = dialog.current;
        const before = document.activeElement;
        opened?.showModal();
        return () => {
            opened?.close();
            // A dialog that is taken out of the page does not give the focus back.
            if (before instanceof HTMLElement) before.focus();
        };
    }, []);
    const submitted = (event: Event) => {
        event.preventDefault();
        onSubmit?.();
    };
    return (
        <dialog
            ref={dialog}
            class="pf-v6-c-modal-box otp-modal"
            aria-labelledby={id}
            onCancel={(event) => {
                event.preventDefault();
                onClose?.();
            }}
        >
            <header class="pf-v6-c-modal-box__header">
                <h2 class="pf-v6-c-modal-box__title" id={id}>
                    {title}
                </h2>
            </header>
            <form class="pf-v6-c-form otp-modal-form" onSubmit={submitted} noValidate>
                <div class="pf-v6-c-modal-box__body">{children}</div>
                <footer class="pf-v6-c-modal-box__footer">{footer}</footer>
            </form>
            {/* Last, so that it does not have the first focus. */}
            {onClose && (
                <div class="pf-v6-c-modal-box__close">
                    <button type="button" class="pf-v6-c-button pf-m-plain" aria-label="Close" onClick={onClose}>
                        <span class="pf-v6-c-button__text" aria-hidden="true">
                            ✕
                        </span>
                    </button>
                </div>
            )}
        </dialog>
    );
}

export function Waiting({ children }: { children: ComponentChildren }) {
    return (
        <p class="otp-waiting" role="status">
            <svg class="pf-v6-c-spinner pf-m-md" viewBox="0 0 100 100" aria-hidden="true">
                <circle class="pf-v6-c-spinner__path" cx="50" cy="50" r="45" fill="none" />
            </svg>
            <span>{children}</span>
        </p>
    );
}

type Colour = "blue" | "green" | "orange" | "red" | "grey";

export function Label({ colour = "grey", children }: { colour?: Colour; children: ComponentChildren }) {
    return (
        <span class={`pf-v6-c-label pf-m-compact${colour === "grey" ? "" : ` pf-m-${colour}`}`}>
            <span class="pf-v6-c-label__content">
                <span class="pf-v6-c-label__text">{children}</span>
            </span>
        </span>
    );
}

export function Card({ title, actions, children }: { title: string; actions?: ComponentChildren; children: ComponentChildren }) {
    return (
        <section class="pf-v6-c-card">
            <div class="pf-v6-c-card__header">
                {actions && <div class="pf-v6-c-card__actions">{actions}</div>}
                <div class="pf-v6-c-card__header-main">
                    <h2 class="pf-v6-c-card__title-text">{title}</h2>
                </div>
            </div>
            <div class="pf-v6-c-card__body">{children}</div>
        </section>
    );
}

/** A name that may be written in any direction, between texts that are not. */
export function Name({ children }: { children: string }) {
    return <bdi class="otp-name">{children}</bdi>;
}

export interface Column<T> {
    title: string;
    cell: (row: T) => ComponentChildren;
}

interface TableProps<T> {
    label: string;
    columns: Column<T>[];
    rows: T[];
    id: (row: T) => string;
    /** What can be chosen, and is. */
    chosen?: { rows: Set<string>; toggle: (id: string) => void };
}

/** A table; on a narrow screen each row is a block, with the titles beside the values. */
export function Table<T>({ label, columns, rows, id, chosen }: TableProps<T>) {
    return (
        <table class="pf-v6-c-table pf-m-grid-md pf-m-compact" aria-label={label}>
            <thead class="pf-v6-c-table__thead">
                <tr class="pf-v6-c-table__tr">
                    {chosen && (
                        <td class="pf-v6-c-table__td pf-v6-c-table__check">
                            <span class="pf-v6-screen-reader">Chosen</span>
                        </td>
                    )}
                    {columns.map(({ title }) => (
                        <th class="pf-v6-c-table__th" scope="col">
                            {title}
                        </th>
                    ))}
                </tr>
            </thead>
            <tbody class="pf-v6-c-table__tbody">
                {rows.map((row) => (
                    <tr class="pf-v6-c-table__tr" key={id(row)}>
                        {chosen && (
                            <td class="pf-v6-c-table__td pf-v6-c-table__check">
                                <input
                                    type="checkbox"
                                    aria-label={`Choose ${id(row)}`}
                                    checked={chosen.rows.has(id(row))}
                                    onChange={() => chosen.toggle(id(row))}
                                />
                            </td>
                        )}
                        {columns.map(({ title, cell }) => (
                            <td class="pf-v6-c-table__td" data-label={title}>
                                {cell(row)}
                            </td>
                        ))}
                    </tr>
                ))}
            </tbody>
        </table>
    );
}

/** Facts about one thing. */
export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
    return (
        <dl class="pf-v6-c-description-list pf-m-horizontal pf-m-compact">
            {facts.map(([term, value]) => (
                <div class="pf-v6-c-description-list__group">
                    <dt class="pf-v6-c-description-list__term">
                        <span class="pf-v6-c-description-list__text">{term}</span>
                    </dt>
                    <dd class="pf-v6-c-description-list__description">
                        <div class="pf-v6-c-description-list__text">{value}</div>
                    </dd>
                </div>
            ))}
        </dl>
    );
}
