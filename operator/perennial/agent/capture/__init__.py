"""`perennial agent capture`: passes a model server's traffic through unchanged, and writes down what was said.

    client ⇄ [tap] ⇄ server          bytes are forwarded as they come, before anything looks at them
               │ copies
            [listener]               parses both directions, pairs requests with responses
               │ exchanges
            [recorder]               bounded buffer; a thread turns it into files on S3

Nothing behind the tap can hold up or break a prediction: a record may be lost (and is counted), an answer never.
"""
