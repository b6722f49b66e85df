// Package e2e holds the tests of the program as a whole: sessions of the command
// line, conversations on a terminal, runs that are killed, and faults of disks,
// parents and memory. The test binary runs itself as slerpmerge.
//
// # Sessions
//
// A session is a script of package testscript in testdata/script. The models of
// the top-level testdata/models are at $MODELS. Beside the commands of testscript
// there are those below, where MODEL is a model folder or weight file, and CODE an
// exit code.
//
// Programs:
//
//	exits CODE PROGRAM ARG...
//		The program ends with the exit code.
//	refused CODE PROGRAM ARG...
//		The program ends with the exit code, prints nothing on standard output
//		and one error line and hints on standard error, and leaves everything
//		below the current folder as it was.
//	stopped EVENT CODE WAITFOR PROGRAM ARG...
//		As soon as the file WAITFOR exists (FILE+N: has grown by N bytes), the
//		event happens: INT, TERM, HUP or QUIT sends that signal, TERM+TERM two of
//		them, cut=FILE takes the last byte of a file away, rewrite=FILE changes
//		the last byte of a file and puts its time back. The program ends as
//		refused wants it, except that .OUT.partial may stay, and with QUIT the lock.
//	example [COMMAND]
//		The help of the command ends with exit code 0, and so does the example
//		in it.
//	clean
//		The lines on standard error are safe to show: no control characters,
//		no crash, none longer than 4096 bytes.
//
// Models:
//
//	mkmodel PATH [-format bin] [-shard SIZE] [-config JSON] [-seed N] TENSOR...
//		Makes a model folder, or one weight file if PATH ends in .safetensors.
//		A TENSOR is NAME:DTYPE:SHAPE:VALUES, as testmodel.Parse reads it.
//	mkcheckpoint FILE ENTRY=VALUES...
//		Makes a PyTorch checkpoint of nested dicts, as
//		testmodel.WriteCheckpoint has it.
//	[!] weights MODEL MODEL...
//		The models have the same tensors to the last bit, however they are
//		spread over files.
//	values MODEL TENSOR DTYPE VALUE...
//		The tensor has this type and begins with these values.
//
// Files:
//
//	copy FROM TO
//		Copies a folder.
//	truncate FILE SIZE
//		Gives a file that size; -N takes N bytes from its end.
//	damage FILE OFFSET TEXT
//		Writes over a part of a file. An offset below 0 counts from the end;
//		TEXT takes the escapes of Go.
//	hold FILE
//		Holds the lock on a file until the script ends, as another run would.
//	[!] same FILE FILE...
//		The files have the same bytes; with !, the first two differ.
//	files FOLDER NAME...
//		The folder holds these files and no others.
//	filesize FILE JSONFILE PATH
//		The file is as long as the number in the JSON says.
//	sha256 FILE OFFSET LENGTH HEX
//		A stretch of a file has this digest, which may be JSONFILE:PATH.
//
// JSON. FILE is a file, stdout or stderr; PATH is keys and places with dots between, as
// in files.0.name; [name=x] is the member of a list whose name is x, and len at
// the end counts members:
//
//	json FILE PATH VALUE
//		The value is at that place; ~RE wants a match of the expression, <=N a
//		number above 0 and at most N.
//	atleast FILE KEY N
//		The number under a key is N at least.
//	jsonkeys FILE PATH KEY...
//		The object has these keys in this order and no others; PATH . is the
//		whole document, of an object within it the order does not count.
//	jsonlines FILE [N]
//		Every line (of N) is a JSON object with time, level and msg.
//	agrees COMPARED MERGED
//		What compare --json found about the tensors is what the merge recorded.
//
// The condition [user] holds for a user whom file modes keep out.
//
// # Faults
//
// Some faults need file systems or control groups of their own, which only root
// may make. Where that is not possible they are skipped, unless
// SLERPMERGE_TEST_FAULTS is set; then those that take seconds each are tried too.
// SLERPMERGE_TEST_KILLS and SLERPMERGE_TEST_BYTES say how often TestKill kills, and
// how large its parents are.
package e2e
