package tokenizer

import (
	"bufio"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// Numbers of sentencepiece_model.proto.
const (
	fieldPieces = 1 // of ModelProto
	fieldPiece  = 1 // of SentencePiece
	fieldType   = 3

	pieceUnknown     = 2
	pieceControl     = 3
	pieceUserDefined = 4
)

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// maxPiece bounds one piece: sentencepiece's own limit is 16 characters unless
// a model asks for more.
const maxPiece = 64 << 10

// readSentencePiece reads tokenizer.model, a protocol buffer whose pieces come
// in the order of their ids. Control and user defined pieces are added tokens,
// as transformers' converters have it.
func readSentencePiece(file string, r io.Reader) (*Vocabulary, []Token, error) {
	in := bufio.NewReader(r)
	b := builder{file: file}
	var added []Token
	piece := make([]byte, 0, 256)
	for {
		tag, err := binary.ReadUvarint(in)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, readError(file, err)
		}
		if tag != fieldPieces<<3|wireBytes {
			if err := skipField(file, in, tag); err != nil {
				return nil, nil, err
			}
			continue
		}
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, nil, readError(file, err)
		}
		if n > maxPiece {
			return nil, nil, notSentencePiece(file)
		}
		piece = append(piece[:0], make([]byte, n)...)
		if _, err := io.ReadFull(in, piece); err != nil {
			return nil, nil, readError(file, err)
		}
		text, kind, ok := parsePiece(piece)
		if !ok || !utf8.Valid(text) {
			return nil, nil, notSentencePiece(file)
		}
		start, id := len(b.text), len(b.toks)
		b.text = append(b.text, text...)
		if err := b.end(start, int64(id)); err != nil {
			return nil, nil, err
		}
		if kind == pieceUnknown || kind == pieceControl || kind == pieceUserDefined {
			added = append(added, Token{Text: string(text), ID: id, Special: kind != pieceUserDefined})
		}
	}
	if len(b.toks) == 0 {
		return nil, nil, notSentencePiece(file)
	}
	v, err := b.vocabulary(true)
	return v, added, err
}

func notSentencePiece(file string) error {
	return &UnsupportedError{File: file, Msg: "is not a SentencePiece model",
		Hint: "load the model once with transformers' AutoTokenizer and save it: that writes a tokenizer.json"}
}

// skipField passes over a field of ModelProto other than a piece.
func skipField(file string, in *bufio.Reader, tag uint64) error {
	n := uint64(0)
	var err error
	switch tag & 7 {
	case wireVarint:
		_, err = binary.ReadUvarint(in)
	case wireFixed64:
		n = 8
	case wireFixed32:
		n = 4
	case wireBytes:
		n, err = binary.ReadUvarint(in)
	default:
		return notSentencePiece(file)
	}
	if err != nil || n > 1<<30 {
		return notSentencePiece(file)
	}
	_, err = io.CopyN(io.Discard, in, int64(n))
	return readError(file, err)
}

// parsePiece takes the text and the type of a SentencePiece message.
func parsePiece(m []byte) (text []byte, kind uint64, ok bool) {
	for len(m) > 0 {
		tag, n := binary.Uvarint(m)
		if n <= 0 {
			return nil, 0, false
		}
		m = m[n:]
		size := 0
		switch tag & 7 {
		case wireVarint:
			x, n := binary.Uvarint(m)
			if n <= 0 {
				return nil, 0, false
			}
			if tag>>3 == fieldType {
				kind = x
			}
			size = n
		case wireFixed64:
			size = 8
		case wireFixed32:
			size = 4
		case wireBytes:
			x, n := binary.Uvarint(m)
			if n <= 0 || x > uint64(len(m)-n) {
				return nil, 0, false
			}
			if tag>>3 == fieldPiece {
				text = m[n : n+int(x)]
			}
			size = n + int(x)
		default:
			return nil, 0, false
		}
		if size > len(m) {
			return nil, 0, false
		}
		m = m[size:]
	}
	return text, kind, true
}
